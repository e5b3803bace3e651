"""Implementation of `latentlake inspect`: one screen on a source, before anything is computed."""

import json
from typing import Any

from rich.table import Table

from lake.errors import UsageError
from lake.storage.places import to_source
from pipeline.commands.look import Look, look
from pipeline.config.dataset import DatasetSettings
from pipeline.engine.consoles import open_console
from pipeline.engine.log_setup import say
from pipeline.settings import Settings


def inspect(source: str | None, settings: Settings) -> Look:
    """Look at a source, or at that of the settings. Raises `UsageError` if neither is named."""
    return look(choose(source, settings), settings, settings.cache_dir, say)


def choose(source: str | None, settings: Settings) -> DatasetSettings:
    """The settings of the named source: those of the settings file if they are about it."""
    if source is None:
        if settings.dataset is None:
            raise UsageError("Name a source to inspect, such as a folder of images: latentlake inspect photos.")
        return settings.dataset
    try:
        place = to_source(source)
    except ValueError as error:
        raise UsageError(f"{source}: {error}.") from None
    own = settings.dataset
    return own if own is not None and own.source == place else DatasetSettings(source=place)


def print_look(found: Look) -> None:
    """Print the summary as two columns, heading and text."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    before = ""
    for heading, text in found.lines:
        table.add_row("" if heading == before else heading, text)
        before = heading
    open_console().print(table, highlight=False, markup=False)


def to_json(found: Look) -> str:
    """Everything that was found, as JSON."""
    source = found.understanding
    notes = source.listing.notes
    facts: dict[str, Any] = {
        "source": str(source.own.source),
        "kind": source.listing.kind,
        "images": len(source.listing.images),
        "classes": source.classes,
        "refused": [{"name": name, "reason": why.reason, "detail": why.detail} for name, why in source.listing.refused],
        "understood": notes.remarks,
        "unclear": [
            {"setting": doubt.setting, "sentence": doubt.sentence, "suggestion": doubt.suggestion}
            for doubt in notes.doubts
        ],
        "summary": [{"heading": heading, "text": text} for heading, text in found.lines],
    }
    return json.dumps(facts, indent=2, ensure_ascii=False)
