"""Whatever a source holds, it is understood or refused in a sentence, and every entry of it is accounted for.

Hypothesis draws sources of every kind: valid ones whose bytes were changed, and valid files with values, types and
names that no code expects. All warnings are errors, so that none leaks.
"""

import datetime as dt
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lake.errors import UserError
from pipeline.cli import app
from pipeline.config.dataset import DatasetSettings
from pipeline.source.understanding.summary import summarize
from pipeline.source.understanding.understand import Understanding, understand
from tests.support.data.malformed.arrays import write_idx, write_npz
from tests.support.data.malformed.parts import PLAIN, Build, Malformed
from tests.support.data.malformed.tables import (
    write_csv,
    write_delta,
    write_parquet_or_arrow,
    write_predictions,
)
from tests.support.data.malformed.trees import write_archive, write_folder, write_shards
from tests.support.data.own_data import load, own_settings

KINDS: dict[str, Build] = {
    "folder": write_folder,
    "archive": write_archive,
    "WebDataset": write_shards,
    "CSV": write_csv,
    "parquet or Arrow": write_parquet_or_arrow,
    "Delta": write_delta,
    "predictions": write_predictions,
    "npz": write_npz,
    "IDX": write_idx,
}
MANY = {"CSV": 350, "parquet or Arrow": 350, "predictions": 350, "folder": 250, "archive": 200}
"""Examples drawn of a kind in the long tests, otherwise 125: 2,000 in all."""
FEW = 5
LONGEST, MOST_LINES = 2_000, 40
OF_A_TRACEBACK = re.compile(r"Traceback|panicked at|\.py\", line|\.rs:\d|NoneType| object at 0x|unwrap\(\)")
NOT_ENTERED = {
    ("symbolic link loop", "it leads to a folder that is already read"),
    ("not a file", "it is an empty folder"),
    ("unreadable folder", "File name too long"),
}
"""Why a folder is refused, which is no entry itself."""
DRAWN = settings(suppress_health_check=list(HealthCheck), deadline=None)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(DRAWN, max_examples=FEW)
def test_any_source_is_understood_or_refused_in_a_sentence_and_every_entry_is_counted(
    kind: str, data: st.DataObject
) -> None:
    check(kind, data)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_many_sources_are_understood_or_refused_in_a_sentence_and_every_entry_is_counted(kind: str) -> None:
    @given(data=st.data())
    @settings(DRAWN, max_examples=MANY.get(kind, 125))
    def every(data: st.DataObject) -> None:
        check(kind, data)

    every()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), as_json=st.booleans())
@settings(DRAWN, max_examples=2)
def test_inspect_ends_with_a_designed_exit_code(kind: str, data: st.DataObject, as_json: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = KINDS[kind](data, Path(folder)).source
        cache = ["--set", f"cache_dir={folder}/.cache"]
        done = CliRunner().invoke(app, ["inspect", str(source), *cache, *(["--json"] if as_json else [])])
    assert done.exception is None or isinstance(done.exception, UserError | SystemExit), repr(done.exception)
    assert getattr(done.exception, "exit_code", done.exit_code) in (0, 1, 2)
    assert not OF_A_TRACEBACK.search(done.output)


def test_an_arrow_file_whose_offsets_leave_its_buffers_is_refused_before_it_is_read(tmp_path: Path) -> None:
    valid = tmp_path / "valid.arrow"
    pl.DataFrame({"image": PLAIN, "label": ["cat", "dog"] * 5}).write_ipc(valid, compat_level=pl.CompatLevel.oldest())
    data = valid.read_bytes()
    ends = np.cumsum([3] * 10).astype("<i8").tobytes()
    assert data.count(ends) == 1
    (tmp_path / "beyond.arrow").write_bytes(data.replace(ends, ends[:-8] + np.int64(2**40).tobytes()))
    assert len(understand(DatasetSettings(source=valid), tmp_path, print).listing.images) == 10
    with pytest.raises(UserError, match=r"beyond\.arrow cannot be read"):
        understand(DatasetSettings(source=tmp_path / "beyond.arrow"), tmp_path, print)


def test_durations_are_numbers_of_seconds(tmp_path: Path) -> None:
    taken = [dt.timedelta(seconds=i / 2) for i in range(10)]
    frame = pl.DataFrame({"image": PLAIN, "label": ["cat", "dog"] * 5, "taken": taken})
    frame.write_parquet(tmp_path / "a.parquet")
    found = understand(DatasetSettings(source=tmp_path / "a.parquet", metadata=["taken"]), tmp_path, print)
    assert found.metadata["taken"].to_list() == [i / 2 for i in range(10)]


def test_an_arrow_file_with_two_dictionaries_of_one_name_is_refused(tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", "b"]), ordered=True)
    table = pa.table([column, column], names=["image", "image"])
    with pa.OSFile(str(tmp_path / "two.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(UserError, match=r"two\.arrow"):
        understand(DatasetSettings(source=tmp_path / "two.arrow"), tmp_path, print)


def test_a_text_of_a_byte_order_mark_alone_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"empty\.csv has no rows"):
        understand(DatasetSettings(source=tmp_path / "empty.csv"), tmp_path, print)


def test_a_delta_table_of_which_a_file_was_cut_names_the_file(tmp_path: Path) -> None:
    pl.DataFrame({"image": PLAIN, "label": ["cat", "dog"] * 5}).write_delta(str(tmp_path / "table"))
    (file,) = (tmp_path / "table").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(UserError, match=f"its file {file.name} has .* bytes, but its log says"):
        understand(DatasetSettings(source=tmp_path / "table"), tmp_path, print)


def check(kind: str, data: st.DataObject) -> None:
    """Understand and load a drawn source of a kind, and count its entries."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "source").mkdir()
        drawn = KINDS[kind](data, root / "source")
        found = understand_or_say_why(drawn, root / "cache")
        event("refused" if found is None else "understood")
        if found is not None:
            check_notes(found)
            check_counts(found, drawn)
        check_loaded(drawn, root, found)


def understand_or_say_why(drawn: Malformed, cache: Path) -> Understanding | None:
    """What a source means; None if it is refused, in words that were checked."""
    said: list[str] = []
    try:
        found = understand(DatasetSettings(source=drawn.source, **drawn.settings), cache, said.append)
    except UserError as error:
        check_message(str(error))
        found = None
    for message in said:
        check_message(message)
    return found


def check_message(message: str) -> None:
    assert message.strip(), "an empty message"
    assert len(message) < LONGEST, message[:300]
    assert len(message.splitlines()) <= MOST_LINES, ascii(message[:600])
    assert not OF_A_TRACEBACK.search(message), ascii(message)


def check_sentences(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        check_message(sentence)
        assert len(sentence.splitlines()) == 1, ascii(sentence)


def check_notes(found: Understanding) -> None:
    notes = found.listing.notes
    check_sentences([*notes.remarks, *(doubt.sentence for doubt in notes.doubts)])
    for _, why in found.listing.refused:
        check_sentences([why.reason, *([why.detail] if why.detail else [])])
    for heading, text in summarize(found):
        if heading not in ("understood", "unclear", "source"):
            check_message(text)


def check_counts(found: Understanding, drawn: Malformed) -> None:
    """Every entry of the source is an image, refused, or set aside: none twice, none lost."""
    listing = found.listing
    ragged = sum(why.reason == "too many fields" for _, why in listing.refused)
    listed = len(listing.images) + len(listing.refused) - ragged
    if drawn.source.is_dir() and listing.kind == "folder of images":
        folders = sum((why.reason, why.detail) in NOT_ENTERED for _, why in listing.refused)
        listed += sum(aside.count for aside in listing.notes.asides) - folders
    elif (
        listing.kind.startswith(("delimited", "parquet", "Delta"))
        and drawn.settings.get("predictions", {}).get("table") is None
    ):
        assert listed == len(listing.table), (listed, len(listing.table))
        rows = [image.row for image in listing.images]
        assert len(set(rows)) == len(rows)
    if drawn.entries is not None:
        assert listed == drawn.entries, (listed, drawn.entries, listing.refused, listing.notes.asides)
    assert {image.label for image in listing.images} - {None} <= set(found.classes)
    assert found.groups is None or len(found.groups) == len(listing.images)


def check_loaded(drawn: Malformed, root: Path, found: Understanding | None) -> None:
    """With suggestions taken, the same entries are samples or in quarantine, if there are enough of them."""
    values: dict[str, Any] = {"size": 8, "display_side": 0} | drawn.settings
    try:
        own = own_settings(root, drawn.source, dataset=values, cache_dir=root / "cache")
        dataset = load(own, accept=True)
    except UserError as error:
        check_message(str(error))
        return
    event("loaded")
    assert found is not None
    check_sentences(dataset.understood)
    listing = found.listing
    assert len(dataset.sample_id) + len(dataset.quarantine) == len(listing.images) + len(listing.refused)
    assert dataset.quarantine["source_name"].is_unique().all()
