"""Settings: flags over environment over file over preset over defaults; wrong values are named."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from lake.errors import UsageError
from pages.ui.session.access import Access
from pipeline.commands.init import TEMPLATE
from pipeline.commands.origins import find_origins
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.config.written import ELSEWHERE, find_unknown_variables, read_flags
from pipeline.settings import PRESETS, Phase, Settings, load_settings
from tests.support.suite import recipes

MOVED = "what is moved on purpose is moved in tests/support/suite/recipes.py too"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "latentlake.toml"
    path.write_text('preset = "smoke"\nseed = 3\nneighbors = 7\n')
    return path


def test_each_source_overrides_the_weaker_ones(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().neighbors == Settings.model_fields["neighbors"].default
    assert load_settings(file).neighbors == 7
    monkeypatch.setenv("LATENTLAKE_NEIGHBORS", "8")
    assert load_settings(file).neighbors == 8
    assert load_settings(file, neighbors=9).neighbors == 9


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system does not say which CPUs a process may use"
)
@pytest.mark.parametrize(
    ("variable", "threads"), [("3", 3), ("4,2", 4), ("5000", 1024), ("", 2), ("0", 2), ("many", 2)]
)
def test_threads_are_what_omp_num_threads_says_else_the_cpus_of_the_process(
    variable: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5})
    assert load_settings().threads == threads
    assert load_settings(threads=7).threads == 7


def test_a_preset_gives_way_to_everything_that_is_named(file: Path) -> None:
    assert load_settings(file).samples == PRESETS["smoke"]["samples"]
    assert load_settings(file, samples=700).samples == 700
    assert load_settings(file, preset="standard").samples is None
    assert load_settings(file, preset="standard").seed == 3


@pytest.mark.parametrize(
    ("model", "defaults"),
    [(Settings, recipes.SETTINGS), (DatasetSettings, recipes.DATASET), (PredictionSettings, recipes.PREDICTIONS)],
)
def test_the_defaults_are_those_of_the_recipes(model: type[BaseModel], defaults: dict[str, Any]) -> None:
    found = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    assert {
        name: str(found[name]) if isinstance(found[name], Path) else found[name] for name in defaults
    } == defaults, MOVED
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert found.keys() - required - defaults.keys() <= {"threads", "cache_dir"}, "these follow the machine"


def test_the_presets_are_those_of_the_recipes() -> None:
    assert PRESETS == recipes.PRESETS, MOVED


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_trains(preset: str) -> None:
    settings = load_settings(preset=preset)
    assert settings.preset == preset
    assert settings.phases
    sizes = [phase.resolution for phase in settings.phases]
    assert sizes == sorted(sizes)


def test_wrong_values_are_named_with_what_was_given(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"preset = 'huge'"):
        load_settings(preset="huge")
    with pytest.raises(UsageError, match=r"neighbors = 0: .*greater than or equal to 1"):
        load_settings(neighbors=0)
    monkeypatch.setenv("LATENTLAKE_SEED", "minus one")
    with pytest.raises(UsageError, match=r"seed = 'minus one'"):
        load_settings()
    monkeypatch.delenv("LATENTLAKE_SEED")
    with pytest.raises(UsageError, match=r"nowhere\.toml does not exist"):
        load_settings(tmp_path / "nowhere.toml")
    file.write_text("preset = [")
    with pytest.raises(UsageError, match="is not valid TOML"):
        load_settings(file)
    file.write_text("colour = 3")
    with pytest.raises(UsageError, match="colour = 3: there is no such setting"):
        load_settings(file)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("permutation = 200", "permutation = 200: there is no such setting; the closest is permutations"),
        ('[dataset]\nsorce = "x"', "dataset.sorce = 'x': there is no such setting; the closest is dataset.source"),
        ("[dataset]\nsize = 9", "dataset.source is missing"),
        ('dataset = "photos"', "dataset = 'photos': expected a value such as {source = \"photos\"}"),
        ("mean = [0.5, 0.5]", "mean = [0.5, 0.5]: expected a value such as [0.5, 0.5, 0.5]"),
        ("phases = 5", "phases = 5: expected a value such as [{resolution = 32, epochs = 5}]"),
        ("phases = [{resolution = 32}]", "phases.0.epochs is missing"),
        (
            "phases = [{resolution = 32, epochs = 1, epoch = 2}]",
            "phases.0.epoch = 2: there is no such setting; the clo",
        ),
        ("threads = 2_000", "threads = 2000: input should be less than or equal to 1024"),
        ('preset = "huge"', "preset = 'huge': input should be 'smoke', 'quick', 'standard' or 'full'"),
    ],
)
def test_what_is_wrong_is_said_once_in_words_of_the_file(text: str, sentence: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as told:
        load_settings(file)
    assert str(told.value).startswith(f"Settings: {sentence}")
    assert str(told.value).replace("; the closest", "").count(";") == 0


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PHASES", "x", "phases = 'x' (LATENTLAKE_PHASES): expected a value such as [{resolution = 32, epochs = 5}]"),
        ("PHASES", "[", "phases = '[' (LATENTLAKE_PHASES): expected a value such as "),
        (
            "DATASET__GROUPS",
            "a",
            "dataset.groups = 'a' (LATENTLAKE_DATASET__GROUPS): expected a value such as {superclass = ",
        ),
        ("DATASET__SORCE", "x", "dataset.sorce = 'x' (LATENTLAKE_DATASET__SORCE): there is no such setting; the close"),
        ("SEED", "x", "seed = 'x' (LATENTLAKE_SEED): input should be a valid integer"),
    ],
)
def test_a_wrong_variable_is_named_unless_a_flag_is_stronger(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_DATASET__SOURCE", "photos")
    monkeypatch.setenv(f"LATENTLAKE_{name}", value)
    with pytest.raises(UsageError) as told:
        load_settings()
    assert sentence in str(told.value)
    with pytest.raises(UsageError) as told:
        load_settings(seed="y")
    assert "seed = 'y':" in str(told.value)


def test_a_misspelt_variable_is_told_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ELSEWHERE) == {"CONFIG", *(name.upper() for name in Access.model_fields)}
    for name in ("LATENTLAKE_LAKE", "LATENTLAKE_READ_ONLY", "LATENTLAKE_DATASET__SIZE", "LATENTLAKE_TEST_X"):
        monkeypatch.setenv(name, "1")
    assert list(find_unknown_variables(Settings)) == []
    monkeypatch.setenv("LATENTLAKE_SEDE", "1")
    (said,) = find_unknown_variables(Settings)
    assert (
        "LATENTLAKE_SEDE is not known to latentlake and has no effect; the closest setting is LATENTLAKE_SEED" in said
    )


def test_every_setting_is_described() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undescribed == []


def test_the_settings_of_init_load_as_written_and_with_everything_on(tmp_path: Path) -> None:
    path = tmp_path / "latentlake.toml"
    path.write_text(TEMPLATE)
    assert load_settings(path).dataset is None
    path.write_text(re.sub(r"^# (?=\[|\w+ = )", "", TEMPLATE, flags=re.M))
    settings = load_settings(path)
    assert settings.dataset is not None and settings.minutes == 30
    assert settings.dataset.model_fields_set == DatasetSettings.model_fields.keys()
    assert settings.dataset.groups["superclass"]["vehicle"] == ["ship", "truck"]
    said = settings.dataset.predictions
    assert said is not None and said.classes == ["cat", "dog", "ship", "truck"]
    assert said.model_fields_set == PredictionSettings.model_fields.keys()
    assert not said.logits and not said.normalize
    alone = load_settings(dataset={"source": "photos"}).dataset
    assert alone is not None
    shown = {"size", "display_side", "test_share", "validation_share", "max_refused", "allow_outside"}
    assert settings.dataset.model_dump(include=shown) == alone.model_dump(include=shown)
    assert (settings.dataset.label_column, said.column) == ("label", "probabilities")


def test_lists_are_written_with_commas_or_as_json_in_flags_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(loss_map_layers="layer2, layer3").loss_map_layers == ["layer2", "layer3"]
    assert load_settings(checkpoint_classes='["cat", "dog, wet"]').checkpoint_classes == ["cat", "dog, wet"]
    monkeypatch.setenv("LATENTLAKE_MEAN", "0.5, 0.5, 0.4")
    monkeypatch.setenv("LATENTLAKE_LOSS_MAP_LAYERS", "stages.1")
    found = load_settings()
    assert found.mean == (0.5, 0.5, 0.4) and found.loss_map_layers == ["stages.1"]
    for wrong in ("0.5", "0, 1, 1"):
        with pytest.raises(UsageError, match="Settings: std"):
            load_settings(std=wrong)


@pytest.mark.parametrize("text", ['[{"resolution": 32, "epochs": 5}]', "[{resolution = 32, epochs = 5}]"])
def test_lists_and_tables_are_written_as_json_or_toml_in_flags_and_the_environment(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(phases=text).phases == [Phase(resolution=32, epochs=5)]
    monkeypatch.setenv("LATENTLAKE_PHASES", text)
    assert load_settings().phases == [Phase(resolution=32, epochs=5)]
    monkeypatch.setenv("LATENTLAKE_DATASET", "{source = 'photos', size = 48}")
    monkeypatch.setenv("LATENTLAKE_DATASET__PREDICTIONS__CLASSES", "cat, dog")
    found = load_settings(dataset={"metadata": "['a', 'b']"})
    assert found.dataset is not None and found.dataset.predictions is not None
    assert (found.dataset.size, found.dataset.predictions.classes) == (48, ["cat", "dog"])
    assert found.dataset.metadata == ["a", "b"]
    sources = find_origins(found, None, {"dataset": {"metadata": "['a', 'b']"}})
    assert sources["dataset.metadata"] == "flag"
    assert sources["dataset.predictions.classes"] == "environment variable LATENTLAKE_DATASET__PREDICTIONS__CLASSES"


def test_set_takes_any_setting_and_those_of_a_section() -> None:
    texts = ["dataset={source = 'photos'}", "dataset.size=48", "mean=[0.5, 0.5, 0.4]"]
    found = load_settings(**read_flags(Settings, {"seed": 1, "lake": None}, texts))
    assert found.dataset is not None
    assert (found.dataset.size, found.mean, found.seed) == (48, (0.5, 0.5, 0.4), 1)
    with pytest.raises(UsageError, match="--set permutation: there is no such setting; the closest is permutations"):
        read_flags(Settings, {}, ["permutation=200"])
