"""Settings: flags over environment over file over preset over defaults; wrong values are named."""

import re

import pytest

from lake.errors import UsageError
from pipeline.init_file import TEMPLATE
from pipeline.settings import PRESETS, DatasetSettings, PredictionSettings, Settings, load_settings


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "latentlake.toml"
    path.write_text('preset = "smoke"\nseed = 3\nneighbors = 7\n')
    return path


def test_each_source_overrides_the_weaker_ones(file, monkeypatch):
    assert load_settings().neighbors == Settings.model_fields["neighbors"].default
    assert load_settings(file).neighbors == 7
    monkeypatch.setenv("LATENTLAKE_NEIGHBORS", "8")
    assert load_settings(file).neighbors == 8
    assert load_settings(file, neighbors=9).neighbors == 9


def test_a_preset_gives_way_to_everything_that_is_named(file):
    assert load_settings(file).samples == PRESETS["smoke"]["samples"]
    assert load_settings(file, samples=700).samples == 700
    assert load_settings(file, preset="standard").samples is None
    assert load_settings(file, preset="standard").seed == 3


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_trains(preset):
    settings = load_settings(preset=preset)
    assert settings.preset == preset
    assert settings.phases
    sizes = [phase.resolution for phase in settings.phases]
    assert sizes == sorted(sizes)


def test_wrong_values_are_named_with_what_was_given(file, tmp_path, monkeypatch):
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
    with pytest.raises(UsageError, match="colour = 3"):
        load_settings(file)


def test_every_setting_is_described():
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undescribed == []


def test_the_settings_of_init_load_as_written_and_with_everything_on(tmp_path):
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
    assert said.model_dump(exclude={"classes"}) == PredictionSettings().model_dump(exclude={"classes"})
    defaults = load_settings(dataset={"source": "photos"}).dataset.model_dump(
        exclude={"name", "groups", "metadata", "predictions"}
    )
    assert settings.dataset.model_dump().items() >= {k: v for k, v in defaults.items() if k != "source"}.items()


def test_lists_are_written_with_commas_or_as_json_in_flags_and_the_environment(monkeypatch):
    assert load_settings(loss_map_layers="layer2, layer3").loss_map_layers == ["layer2", "layer3"]
    assert load_settings(checkpoint_classes='["cat", "dog, wet"]').checkpoint_classes == ["cat", "dog, wet"]
    monkeypatch.setenv("LATENTLAKE_MEAN", "0.5, 0.5, 0.4")
    monkeypatch.setenv("LATENTLAKE_LOSS_MAP_LAYERS", "stages.1")
    found = load_settings()
    assert found.mean == (0.5, 0.5, 0.4) and found.loss_map_layers == ["stages.1"]
    for wrong in ("0.5", "0, 1, 1"):
        with pytest.raises(UsageError, match="Settings: std"):
            load_settings(std=wrong)
