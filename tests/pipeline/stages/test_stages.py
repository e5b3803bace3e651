"""The declared stages: one list for all, each in words of its own where it cannot be, and runs of versions before."""

import ast
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.contracts.stages import BY_NAME, RENAMED, STAGES, tables_that_need, title_of
from lake.contracts.tables import RUN_TABLES, SAMPLE_TABLES, make_frame
from lake.errors import UserError
from lake.query import queries
from lake.storage.store import Lake
from pipeline.engine.code_hash import Closure, sources_of
from pipeline.engine.progress import Progress
from pipeline.engine.results import check_result
from pipeline.engine.sources import Definition, read_source
from pipeline.engine.stage_cache import KEY_RULE
from pipeline.measure import aligned_projection, cross_fitting, score
from pipeline.model import train
from pipeline.model.external_checkpoint import keep_model
from pipeline.refresh.refresh import Outcome, open_stages, refresh
from pipeline.settings import Settings
from pipeline.stages.graph import COMPUTATIONS, EXTERNAL, FACTS
from pipeline.stages.reuse import AboutFit, Computation, Fit, PerSample, Whole
from pipeline.stages.tables import train_model
from pipeline.stages.trainings import CHECKPOINT_SETTINGS, TRAIN_SETTINGS
from tests.support.data.drawn import drawn_dataset, tiny_settings
from tests.support.lakes.raw_tables import folder_of, read_raw, write_raw

QUIET = Progress(quiet=True)
TRAININGS = {"train", "folds"}
PARTS = {"fingerprint", "value_key", "fit_id"}


def facts_of(computation: Computation) -> tuple[str, ...]:
    assert isinstance(computation, Whole | PerSample | Fit | AboutFit)
    if isinstance(computation, PerSample | Fit):
        return computation.value_facts + computation.sample_facts
    return computation.facts


def test_what_is_declared_is_computed() -> None:
    assert BY_NAME.keys() - TRAININGS == COMPUTATIONS.keys() == EXTERNAL.keys()


def test_stages_make_every_table_of_a_run_once() -> None:
    made = [table for stage in STAGES for table in stage.tables]
    assert sorted(made) == sorted([*(set(RUN_TABLES) - {"metrics"}), *(set(SAMPLE_TABLES) - {"samples", "images"})])


def test_a_stage_reads_what_ran_before_it() -> None:
    before: set[str] = set()
    for stage in STAGES:
        assert before.issuperset(stage.reads), stage.name
        assert len(set(stage.reads)) == len(stage.reads), stage.name
        before.add(stage.name)


@pytest.mark.parametrize("computations", [COMPUTATIONS, EXTERNAL])
def test_facts_are_known_before_a_stage_runs(computations: dict[str, Computation]) -> None:
    order = list(BY_NAME)
    for name, computation in computations.items():
        for fact in facts_of(computation):
            owner, part = fact.split(".")
            assert fact in FACTS or (part in PARTS and order.index(owner) < order.index(name)), fact


def test_tables_without_a_model() -> None:
    assert tables_that_need([]) == set()
    assert {"loss_maps", "models", "training"} <= tables_that_need(["model"])
    assert not tables_that_need(["model"]) & {"predictions", "findings", "neighbors"}
    assert "duplicates" in tables_that_need(["images"]) & tables_that_need(["embeddings"])


def test_pages_call_a_stage_by_its_title() -> None:
    assert title_of("loss_maps") == "Loss maps"
    assert title_of("fold-2") == "Training, fold 2"
    assert title_of("data") == "Reading the data"
    assert title_of("of another program") == "of another program"
    assert len({stage.title for stage in STAGES}) == len(STAGES)


ON_VALUES_OF_NO_EFFECT = {"threads", "executor", "device", "score_batch_size", "allow_pickle"}
ELSEWHERE = {
    "score": {"folds", "seed"},
    "loss_maps": {"folds"},
    "keep_model": {"checkpoint", "folds"},
}
"""Settings that reach a stage in one of its facts: which samples are in which fold, and the content of a checkpoint."""
OF_LOADING = {"loss_map_layers"}
"""Read wherever a model is loaded; of effect where loss maps are computed, and on what is computed from those."""


def settings_read(*functions: Callable[..., object]) -> set[str]:
    """Settings that the functions, or what they reach, read."""
    found: set[str] = set()
    sources = sources_of(read_source)
    for function in functions:
        closure = Closure(sources)
        closure.hash(Definition(function.__module__, function.__qualname__))
        for definition in closure.numbers:
            source = sources.find(definition.module)
            assert source is not None
            nodes = [node for statement in source.definitions[definition.name] for node in ast.walk(statement)]
            found |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and owner(node) == "settings"}
    return found & Settings.model_fields.keys()


def owner(node: ast.Attribute) -> str:
    value = node.value
    name = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
    return name.lstrip("_")


def functions_of(computation: Computation) -> list[Callable[..., object]]:
    return [getattr(computation, name) for name in ("compute", "fit", "extend") if hasattr(computation, name)]


@pytest.mark.parametrize("name", COMPUTATIONS)
@pytest.mark.parametrize("computations", [COMPUTATIONS, EXTERNAL])
def test_a_stage_reads_no_setting_that_it_does_not_name(computations: dict[str, Computation], name: str) -> None:
    """Else a change of the setting would leave what was computed under the old one."""
    computation = computations[name]
    read = settings_read(*functions_of(computation))
    named = set(getattr(computation, "settings", ()))
    known = ON_VALUES_OF_NO_EFFECT | ELSEWHERE.get(name, set()) | OF_LOADING
    assert read - named <= known
    assert named - {"scored_train"} <= read, "and none is named in vain; that of score is how samples are chosen"


def test_a_training_reads_no_setting_that_it_does_not_name() -> None:
    known = ON_VALUES_OF_NO_EFFECT | OF_LOADING
    assert settings_read(train_model) - set(TRAIN_SETTINGS) <= known
    assert set(TRAIN_SETTINGS) <= settings_read(train_model)
    assert settings_read(keep_model) - set(CHECKPOINT_SETTINGS) <= known | ELSEWHERE["keep_model"]


# --- results that cannot be


def coordinates(values: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame({"sample_id": range(len(values)), "x": values}, schema_overrides={"x": pl.Float64})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_ends_the_stage(value: float) -> None:
    frame = coordinates([1, value, value, 2])
    said = r"stage projection \(Projection .*\), 2 of 4 rows of projection\.x .*, the first for sample 1: report this"
    with pytest.raises(UserError, match=said):
        check_result(BY_NAME["projection"], {"projection": frame}, samples=4)


def test_numbers_in_lists_are_looked_at_too() -> None:
    vectors = pl.DataFrame({"embedding": [[1.0, 2.0], [float("nan"), 2.0], []]})
    with pytest.raises(UserError, match=r"1 of 3 rows of embeddings\.embedding .* learning_rate"):
        check_result(BY_NAME["score"], {"embeddings": vectors}, samples=3)


def test_what_is_missing_by_design_passes() -> None:
    check_result(BY_NAME["projection"], {"projection": coordinates([1, None])}, samples=2)
    check_result(BY_NAME["label_issues"], {"label_issues": make_frame("label_issues", [])}, samples=2)
    check_result(BY_NAME["projection"], {"projection": coordinates([])}, samples=1)


def test_samples_that_nobody_measured_end_the_stage() -> None:
    with pytest.raises(UserError, match=r"stage projection .* produced no rows in projection for 12 samples"):
        check_result(BY_NAME["projection"], {"projection": coordinates([])}, samples=12)


def test_a_model_that_gives_no_numbers_is_said_by_the_stage_that_meets_it(
    drawn_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(drawn_folder, tmp_path / "drawn"))
    plain = score.embeddings_frame

    def broken(*given: object) -> pl.DataFrame:
        frame = plain(*given)  # type: ignore[arg-type]
        return frame.with_columns(pl.lit([float("nan")] * 3, pl.List(pl.Float32)).alias("embedding"))

    monkeypatch.setattr(score, "embeddings_frame", broken)
    with pytest.raises(
        UserError,
        match=r"stage score .* rows of embeddings\.embedding are not finite, the first for sample \d+: the model",
    ):
        refresh(tiny_settings(folder, scored_train=60), QUIET, dataset=drawn_dataset())
    assert len(Lake(folder / "lake").runs()) == 1


# --- a run of a version before stages were hashed by what they reach


@pytest.fixture
def earlier(drawn_folder: Path, tmp_path: Path) -> Path:
    """A folder with a lake whose run has keys and names of stages as before; its work folder is empty."""
    return with_earlier_keys(Path(shutil.copytree(drawn_folder / "lake", tmp_path / "lake")).parent)


def with_earlier_keys(folder: Path, *, config: Callable[[str], str] = str) -> Path:
    table = folder_of(Lake(folder / "lake"), "runs")
    runs = read_raw(table)
    names = {new: old for old, new in RENAMED.items()}
    field = pl.element().struct.field
    stages = pl.col("stages").list.eval(
        pl.struct(
            field("name").replace(names),
            field("fingerprint").str.strip_prefix(KEY_RULE),
            field("row_key").str.strip_prefix(KEY_RULE),
            field("fit"),
        )
    )
    configs = pl.Series("config", [config(text) for text in runs["config"]])
    changed = runs.with_columns(stages, configs, fingerprint=pl.lit("of another rule"))
    write_raw(table, changed, mode="overwrite")
    return folder


class Heard(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def refreshed(folder: Path) -> tuple[Outcome, list[str]]:
    """What a refresh did and what it said of runs of earlier versions."""
    heard = Heard()
    outcome = refresh(tiny_settings(folder), heard, dataset=drawn_dataset())
    return outcome, [text for text in heard.said if "earlier version" in text]


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a training began")

    monkeypatch.setattr("pipeline.model.train.train", refuse)


def test_the_model_of_an_earlier_version_is_taken_over_once(earlier: Path, no_training: None) -> None:
    before = Lake(earlier / "lake").run()
    outcome, said = refreshed(earlier)
    assert outcome.published
    taken = "its model is reused; the rest is computed again."
    assert said == [f"{before.run_id} was made by an earlier version of latentlake: {taken}"]
    now = Lake(earlier / "lake").run()
    first, second = (run.scan("predictions").drop("run_id").sort("sample_id").collect() for run in (before, now))
    assert first.equals(second)
    assert refreshed(earlier) == (replace(outcome, published=False), [])


FOLDED: dict[str, Any] = {"folds": 2, "phases": [{"resolution": 16, "epochs": 0.5}]}


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run with folds. Shared: copy it before writing."""
    folder = tmp_path_factory.mktemp("folded")
    refresh(tiny_settings(folder, **FOLDED), QUIET, dataset=drawn_dataset())
    return folder


@pytest.mark.long
@pytest.mark.parametrize("moved", [False, True])
def test_models_of_folds_are_taken_over_only_where_every_sample_is_in_its_fold(
    folded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """Else samples would be scored by models that were trained on them, and count as held out."""
    folder = with_earlier_keys(Path(shutil.copytree(folded / "lake", tmp_path / "lake")).parent)
    assign, fit, trained = cross_fitting.assign_folds, train.train, []
    if moved:
        monkeypatch.setattr(cross_fitting, "assign_folds", lambda label, folds, *, seed: assign(label, folds, seed=9))

    def count(data: Any, *given: Any, **more: Any) -> Any:
        trained.append(len(data.label_N))
        return fit(data, *given, **more)

    monkeypatch.setattr(train, "train", count)
    heard = Heard()
    stages = open_stages(tiny_settings(folder, **FOLDED), heard, dataset=drawn_dataset())
    assert len(stages.find("train")) == 1 and len(stages.find("folds")) == 2
    assert trained == ([120, 120] if moved else []), "models of half of the training samples"
    (said,) = [text for text in heard.said if "earlier version" in text]
    assert ("those of the folds are not" in said) == moved
    assert ("its models are reused" in said) == (not moved)


@pytest.mark.long
def test_the_map_of_an_earlier_version_is_what_the_next_one_starts_from(
    earlier: Path, no_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stage had another name; without it samples would move although nothing about them changed."""
    given, project_like = [], aligned_projection.project_like

    def noted(components: Any, sample_id: Any, settings: Settings, start: pl.DataFrame | None) -> Any:
        given.append(start)
        return project_like(components, sample_id, settings, start)

    monkeypatch.setattr(aligned_projection, "project_like", noted)
    before = Lake(earlier / "lake").run().scan("projection").drop("run_id").collect()
    assert refreshed(earlier)[0].published
    (start,) = given
    assert start is not None and start.select(before.columns).equals(before)


def test_costs_of_an_earlier_run_stand_under_the_names_of_today(earlier: Path) -> None:
    assert set(queries.stage_costs(Lake(earlier / "lake").run()).collect()["stage"]) <= {*BY_NAME, "data", "write"}


def test_a_model_that_is_kept_though_its_data_changed_is_said_to_be(earlier: Path, no_training: None) -> None:
    data, heard = drawn_dataset(), Heard()
    label = data.label.copy()
    label[data.rows("train")[0]] = (label[data.rows("train")[0]] + 1) % len(data.classes)
    open_stages(tiny_settings(earlier, retrain="never"), heard, dataset=replace(data, label=label)).find("train")
    (said,) = [text for text in heard.said if "earlier version" in text]
    assert "its model is reused" in said


@pytest.mark.parametrize(
    ("settings", "config"),
    [
        ({"learning_rate": 0.02}, {}),
        ({"seed": 1}, {}),
        ({}, {'"retrain":"always"': '"retrain":"if-stale"'}),
    ],
)
def test_a_model_of_other_settings_or_of_unsure_data_is_trained_again(
    drawn_folder: Path,
    tmp_path: Path,
    no_training: None,
    settings: dict[str, object],
    config: dict[str, str],
) -> None:
    folder = Path(shutil.copytree(drawn_folder / "lake", tmp_path / "lake")).parent

    def edit(text: str) -> str:
        for old, new in config.items():
            assert old in text
            text = text.replace(old, new)
        return text

    with_earlier_keys(folder, config=edit)
    with pytest.raises(AssertionError, match="a training began"):
        refresh(tiny_settings(folder, **settings), QUIET, dataset=drawn_dataset())


def test_a_model_of_other_labels_is_trained_again(earlier: Path, no_training: None) -> None:
    data = drawn_dataset()
    label = data.label.copy()
    label[data.rows("train")[0]] = (label[data.rows("train")[0]] + 1) % len(data.classes)
    with pytest.raises(AssertionError, match="a training began"):
        refresh(tiny_settings(earlier), QUIET, dataset=replace(data, label=label))


def test_threads_are_no_part_of_what_a_run_is(drawn_folder: Path, tmp_path: Path, no_training: None) -> None:
    folder = Path(shutil.copytree(drawn_folder, tmp_path / "drawn"))
    assert not refresh(tiny_settings(folder, threads=2), QUIET, dataset=drawn_dataset()).published
