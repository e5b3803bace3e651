"""Predictions of another model: read row by row, taken as they are, and published with what they allow."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.contracts.stages import STAGES, tables_that_need
from lake.contracts.validation import TABLES_OF_NEED
from lake.errors import UsageError, UserError
from lake.query import joined_samples, queries
from lake.query.reviews import Review, add_reviews
from lake.storage.store import Lake, Run
from pages.ui.session.navigation import ENTRIES
from pipeline.data.sample_ids import KnownSamples
from pipeline.engine.progress import Progress
from pipeline.refresh.refresh import open_stages, refresh
from pipeline.settings import load_settings
from tests.support.data.drawn import CLASSES
from tests.support.data.external import DISC, RING, external_settings, external_table
from tests.support.data.own_data import load
from tests.support.lakes.tiny_data import lists
from tests.support.servers.apps import NAMES, Open, answer, failures

QUIET = Progress(quiet=True)
KINDS = {
    "predictions": ["image", "embedding"],
    "embeddings too": ["image"],
    "images too": ["embedding"],
    "both too": [],
}


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return external_table()


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.long) if kind == "embeddings too" else kind for kind in KINDS],
)
def kind(request: Any) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folders(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`folders(kind)` has a lake with that of the table published. Shared: copy it before writing."""

    @cache
    def refreshed_once(kind: str) -> Path:
        root = tmp_path_factory.mktemp("brought")
        assert refresh(external_settings(root, table.drop(KINDS[kind])), QUIET).published
        return root

    return refreshed_once


@pytest.fixture(scope="module")
def lake(kind: str, folders: Callable[[str], Path]) -> Lake:
    return Lake(folders(kind) / "lake")


@pytest.fixture
def copied(folders: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Run]:
    """`copied(kind)` is the run of such a lake, copied to where a test may publish more."""

    def copy(kind: str) -> Run:
        shutil.copytree(folders(kind), tmp_path, dirs_exist_ok=True)
        return Lake(tmp_path / "lake").run()

    return copy


# --- reading


def test_rows_that_say_nothing_usable_are_refused_with_the_reason(table: pl.DataFrame, tmp_path: Path) -> None:
    rows: list[Any] = table["probabilities"].to_list()
    nan = float("nan")
    rows[1:7] = [None, [0.5, 0.5], [0.2, 0.3, nan, 0], [-0.1, 0.6, 0.5, 0], [0.2, 0.3, 0.4, 0], [0.2, None, 0.8, 0]]
    lists = pl.Series("probabilities", rows, dtype=pl.List(pl.Float32))
    dataset = load(external_settings(tmp_path, table.with_columns(lists)))
    found = dataset.quarantine.select("source_name", "reason", "detail").sort("source_name").rows()
    why = [
        ("prediction missing", ""),
        ("unusable prediction", "2 numbers, others have 4"),
        ("unusable prediction", "a number is missing or not finite"),
        ("unusable prediction", "not probabilities: one is below 0"),
        ("unusable prediction", "not probabilities: they add up to 0.9"),
        ("unusable prediction", "a number is missing or not finite"),
    ]
    assert found == [(table["name"][i], *said) for i, said in enumerate(why, 1)]
    assert dataset.external is not None and len(dataset) == len(table) - 6
    assert np.exp(dataset.external.logits_NK[0]) == pytest.approx(rows[0])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0.5", "have one number per row, which is enough for 2 classes, but 4 classes are among the labels"),
        ("a", "The column 'probabilities' has type String, but predictions are lists of numbers"),
        (["a"], "The column 'probabilities' has type .*, but predictions are lists of numbers"),
    ],
)
def test_a_column_that_holds_no_numbers_of_classes_is_named(
    value: Any, said: str, table: pl.DataFrame, tmp_path: Path
) -> None:
    changed = table.with_columns(probabilities=pl.Series([value] * len(table)))
    with pytest.raises(UserError, match=said):
        load(external_settings(tmp_path, changed, column="probabilities"))


# --- the dataset


def test_classes_are_those_named_or_the_labels(table: pl.DataFrame, tmp_path: Path) -> None:
    assert load(external_settings(tmp_path, table)).classes == CLASSES
    renamed = [CLASSES[i] for i in (3, 1, 0, 2)]
    assert load(external_settings(tmp_path, table, classes=renamed)).classes == renamed
    with pytest.raises(UserError, match=r"4 numbers per row, but 2 classes are named: list all classes"):
        load(external_settings(tmp_path, table, classes=["disc", "ring"]))
    with pytest.raises(UserError, match=r"4 numbers per row, but 3 classes are among the labels"):
        load(external_settings(tmp_path, table.filter(pl.col("label") != "bar")))
    with pytest.raises(UserError, match=r"The label 'bar' of .* is not a class of the predictions"):
        load(external_settings(tmp_path, table, classes=["bear", "disc", "ring", "square"]))


def test_a_row_without_a_split_is_a_test_sample_and_one_without_a_label_unlabeled(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    first = pl.int_range(len(table)) < 7
    changed = table.drop("image").with_columns(
        split=pl.when(first).then(None).otherwise("split"),
        label=pl.when(pl.int_range(len(table)) == 0).then(None).otherwise("label"),
    )
    dataset = load(external_settings(tmp_path, changed))
    assert dataset.split.tolist() == ["unlabeled", *["test"] * 6, *table["split"][7:]]
    assert not dataset.pictured and len(set(dataset.sha256)) == len(dataset)


def test_what_cannot_be_used_is_in_quarantine_and_counts_add_up(table: pl.DataFrame, tmp_path: Path) -> None:
    bad = pl.int_range(len(table)) % 40 == 0
    changed = table.with_columns(
        probabilities=pl.when(bad).then(pl.lit([0.5], pl.List(pl.Float32))).otherwise("probabilities"),
        image=pl.when(pl.int_range(len(table)) == 1).then(pl.lit(b"no image")).otherwise("image"),
    )
    dataset = load(external_settings(tmp_path, changed))
    reasons = dataset.quarantine["reason"].value_counts().sort("count").rows()
    assert reasons == [("not an image", 1), ("unusable prediction", 12)]
    assert len(dataset) + len(dataset.quarantine) == len(table)
    assert dataset.external is not None and len(dataset.external.logits_NK) == len(dataset)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"drop": ["probabilities"]}, "No predictions were found in the table, which has no other columns"),
        ({"column": "p"}, "The table has no column 'p', and no two columns of numbers that start with it"),
        ({"drop": ["label"]}, "No row of .* has a label, .*: set label_column .* Its columns are name, split, light"),
        ({"embedding_column": "features"}, "no column 'features' of embeddings: .* The columns are name, label"),
    ],
)
def test_a_column_that_is_missing_is_named(
    changes: dict[str, Any], said: str, table: pl.DataFrame, tmp_path: Path
) -> None:
    kept = table.drop(changes.pop("drop", []))
    with pytest.raises(UserError, match=said):
        load(external_settings(tmp_path, kept, **changes))


@pytest.mark.parametrize("other", [{"checkpoint": "a.safetensors"}, {"new_data": "folder"}])
def test_predictions_and_a_model_of_our_own_exclude_each_other(other: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(other))} is for a model that is run here"):
        load_settings(dataset={"source": "said.parquet", "predictions": {}}, **other)


# --- the run


def test_the_run_has_what_was_brought_and_no_more(lake: Lake, kind: str) -> None:
    run = lake.run()
    assert run.verify()
    absent = set(KINDS[kind])
    assert all(run.has(name) != ("embedding" in absent) for name in TABLES_OF_NEED["embeddings"])
    assert all(run.has(name) != ("image" in absent) for name in TABLES_OF_NEED["images"])
    assert run.has("duplicates") <= (not absent)
    assert not any(run.has(name) for name in tables_that_need({"model"}))
    assert all(run.has(name) for name in ("predictions", "triage", "findings", "metrics", "proofs"))


def test_each_stage_can_be_asked_for_by_itself(kind: str, table: pl.DataFrame, lake: Lake) -> None:
    settings = external_settings(Path(lake.root).parent, table.drop(KINDS[kind]))
    dataset = load(settings)
    published = {row["name"]: row["fingerprint"] for row in lake.run().facts["stages"]}
    for name in (stage.name for stage in STAGES if stage.name != "folds"):
        found = open_stages(settings, QUIET, dataset=dataset)[name]
        assert found.fingerprint == published.get(name, published["score"]), name


def test_predictions_are_taken_as_they_are(lake: Lake, table: pl.DataFrame) -> None:
    run = lake.run()
    found = run.scan("samples").select("sample_id", name="source_name").join(run.scan("predictions"), on="sample_id")
    rows = found.collect().join(table, on="name", suffix="_external")
    p, said = (np.stack(rows[name].to_list()) for name in ("probabilities", "probabilities_external"))
    assert len(rows) == len(table) and p == pytest.approx(said, abs=1e-6)
    own = np.array([row[CLASSES.index(label)] for row, label in zip(said, rows["label"], strict=True)])
    assert rows["loss"].to_numpy() == pytest.approx(-np.log(own), abs=1e-5)
    assert rows["out_of_sample"].to_list() == (rows["split"] != "train").to_list()
    assert set(rows["temperature"]) == {1.0}


def test_the_planted_confusion_is_the_first_finding_and_its_filter_reproduces_it(lake: Lake) -> None:
    run = lake.run()
    first = run.scan("findings").filter(pl.col("kind") == "confusion").sort("finding_id").collect().row(0, named=True)
    assert first["filter"].startswith("label") and first["confirmed"]
    samples = joined_samples.scan_samples(run).filter(queries.HELD_OUT).collect()
    discs = samples.filter(label=CLASSES[DISC], predicted=CLASSES[RING])
    assert first["n"] == len(discs) and CLASSES[RING] in first["sentence"]


def test_without_neighbours_nothing_is_said_of_them(lake: Lake, kind: str) -> None:
    run = lake.run()
    said = " ".join(
        run.scan("findings").select(pl.concat_str("sentence", "action", separator=" ")).collect().to_series()
    )
    triage = run.scan("triage").collect()
    if "embedding" in KINDS[kind]:
        assert "nearest" not in said and "group" not in said
        assert triage["similarity"].null_count() == len(triage)
        assert not {"doubtful label", "far from others"} & set(triage["reason"])
    else:
        assert triage["similarity"].null_count() == 0


@pytest.mark.parametrize("kind", ["predictions"], scope="module", indirect=False)
@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_every_page_opens_on_predictions_alone(entry: Any, lake: Lake, open_page: Open) -> None:
    app = open_page(lake.root, entry.name)
    assert not failures(app)
    assert answer(app).endswith(".")


def test_predictions_without_any_pattern_make_no_finding(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(4), 1200)
    label = [CLASSES[i] for i in rng.integers(0, 4, 1200)]
    null = pl.DataFrame({"label": label, "light": rng.choice(["day", "night"], 1200), "probabilities": lists(p)})
    refresh(external_settings(tmp_path, null), QUIET)
    assert not Lake(tmp_path / "lake").run().has("findings")


def test_labels_flipped_on_purpose_are_found_by_the_model_alone(tmp_path: Path) -> None:
    table = external_table(confused=0).drop("image", "embedding").with_columns(split=pl.lit("test"))
    flipped = pl.int_range(len(table)) % 20 == 0
    other = {name: CLASSES[(i + 1) % 4] for i, name in enumerate(CLASSES)}
    wrong = table.with_columns(label=pl.when(flipped).then(pl.col("label").replace(other)).otherwise("label"))
    refresh(external_settings(tmp_path, wrong), QUIET)
    run = Lake(tmp_path / "lake").run()
    issues = run.scan("label_issues").filter(kind="label")
    listed = issues.join(run.scan("samples"), on="sample_id").sort("rank").collect()
    planted, found = set(table.filter(flipped)["name"]), set(listed["source_name"])
    assert found <= planted and len(found) >= 0.7 * len(planted)


# --- the next run


def refreshed(root: Path, table: pl.DataFrame, **changes: Any) -> tuple[Run, bool]:
    done = refresh(external_settings(root, table).model_copy(update=changes), QUIET)
    return Lake(root / "lake").run(), done.published


@pytest.mark.long
def test_new_predictions_make_a_new_run_and_the_same_ones_none(table: pl.DataFrame, tmp_path: Path) -> None:
    first, _ = refreshed(tmp_path, table)
    assert refreshed(tmp_path, table)[1] is False
    features = np.stack(table["embedding"].to_list())
    turned = np.where(np.arange(len(table))[:, None] % 2, features, -features)
    second, published = refreshed(tmp_path, table.with_columns(embedding=lists(turned)))
    assert published and second.dataset_id == first.dataset_id
    unit = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    closeness = unit @ unit.T
    np.fill_diagonal(closeness, -1)
    near = second.scan("neighbors").filter(pl.col("rank") == 1).sort("sample_id").collect()
    assert near["similarity"].to_numpy() == pytest.approx(closeness.max(1), abs=1e-5)
    assert second.scan("samples").collect().equals(first.scan("samples").collect())


@pytest.mark.long
def test_the_number_of_a_sample_that_is_gone_is_not_given_again(
    table: pl.DataFrame, tmp_path: Path, copied: Callable[[str], Run]
) -> None:
    plain, first = table.drop("image", "embedding"), copied("predictions")
    refreshed(tmp_path, plain.head(-5))
    renamed = plain.with_columns(name=pl.when(pl.int_range(pl.len()) < len(plain) - 5).then("name").otherwise("label"))
    third, _ = refreshed(tmp_path, renamed.unique("name", keep="first", maintain_order=True))
    known = dict(first.scan("samples").select("source_name", "sample_id").collect().iter_rows())
    new = third.scan("samples").filter(~pl.col("source_name").is_in(known)).collect()["sample_id"]
    assert len(new) and new.min() == len(plain)
    said = Review(first.dataset_id, 900, "fine", "Ada", run_id=first.run_id)
    add_reviews(first.lake, [said])
    assert KnownSamples.read(first.lake, first.dataset_id).highest_id == 900


def test_reviews_are_honoured(table: pl.DataFrame, tmp_path: Path, copied: Callable[[str], Run]) -> None:
    plain, first = table.drop("image", "embedding"), copied("predictions")
    add_reviews(first.lake, [Review(first.dataset_id, 3, "exclude", "Ada", run_id=first.run_id)])
    second, published = refreshed(tmp_path, plain, apply_reviews=True)
    ids = second.scan("predictions").select("sample_id").collect().to_series()
    assert published and 3 not in ids and len(ids) == len(table) - 1


def test_a_dataset_that_loses_its_images_is_refused_in_a_sentence(
    table: pl.DataFrame, tmp_path: Path, copied: Callable[[str], Run]
) -> None:
    copied("images too")
    with pytest.raises(UserError, match="Said had images in earlier runs, but its source no longer has any"):
        refreshed(tmp_path, table.drop("embedding", "image"))
