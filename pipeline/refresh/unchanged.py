"""Detect within a second, without loading the data, that nothing changed, by a hash of everything a refresh depends on.

The hash may report a change where the stages then find none, but never misses one.
"""

import importlib.util
import json
from pathlib import Path

from lake.errors import UserError
from lake.storage.store import Lake
from pipeline.data.incoming.add import list_files, list_new_data
from pipeline.data.load import list_source
from pipeline.engine.hashing import hash_facts
from pipeline.engine.progress import Progress
from pipeline.engine.stage_cache import package_versions
from pipeline.settings import Settings

WITHOUT_EFFECT = {"lake", "work_dir", "cache_dir", "log", "keep_runs", "keep_days", "reader_hours"}
CODE = ("lake", "pipeline")


def hash_request(settings: Settings, lake: Lake) -> str:
    """Hash of settings, code, packages, reviews, and the data and model files by size and modification time."""
    values = settings.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    reviews = lake.version("reviews") if settings.apply_reviews else None
    files = list_files(settings.checkpoint) if settings.checkpoint else []
    files += list_new_data(settings) + list_source(settings)
    return hash_facts([lake.root, values, _code(), package_versions(), reviews, files])


def find_answer(settings: Settings, lake: Lake) -> str | None:
    """The run that already answers the request; None if it is not the latest, or unknown."""
    try:
        answer = json.loads(_answer_file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    newest = lake.runs().head(1)["run_id"].to_list()
    if newest != [answer.get("run_id")]:
        return None
    try:
        return newest[0] if answer.get("request") == hash_request(settings, lake) else None
    except UserError:  # of the data: the refresh itself tells and records it
        return None


def keep_answer(settings: Settings, request: str, run_id: str, progress: Progress) -> None:
    """Record which run answers a request. If that fails, the next refresh runs the stages to find out."""
    try:
        _answer_file(settings).write_text(json.dumps({"request": request, "run_id": run_id}), encoding="utf-8")
    except OSError as error:
        progress.say(f"Cannot record that {run_id} answers this request ({error.strerror}): {error.filename}")


def _answer_file(settings: Settings) -> Path:
    return Path(settings.work_dir) / f"answer-{hash_facts(settings.lake)}.json"


def _code() -> list[str]:
    """The source files of the packages that compute and store."""
    roots = [importlib.util.find_spec(package) for package in CODE]
    folders = [Path(root.origin).parent for root in roots if root and root.origin]
    return [path.read_text(encoding="utf-8") for folder in folders for path in sorted(folder.rglob("*.py"))]
