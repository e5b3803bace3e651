"""The contracts say what pages may do with a column; pages ask, and hold no lists of their own."""

import ast

import numpy as np
import pytest

from lake.contracts.columns import MODEL, SAMPLE
from lake.query import joined_samples
from lake.query.sample_columns import (
    COLORS,
    DEFAULT_COLUMNS,
    NO_AXIS,
    SIZES,
    USES,
    by_section,
    use_of_column,
    with_unit,
)
from lake.storage.store import Lake
from pages.charts.scales import color_scale, size_domain
from pages.ui.map.projection_offers import color_columns, size_columns
from pages.ui.table.table_columns import axes_of, columns_of
from tests.support.paths import REPOSITORY

OURS = {"sample_id", "superclass"}
"""The key, and a grouping of the tiny run."""


def test_every_column_of_the_table_of_samples_has_a_use(tiny_lake: str) -> None:
    samples = joined_samples.scan_samples(Lake(tiny_lake).run()).collect_schema()
    assert set(samples.names()) - OURS == USES.keys()


def test_numbers_alone_size_dots(tiny_lake: str) -> None:
    samples = joined_samples.scan_samples(Lake(tiny_lake).run()).collect_schema()
    assert all(samples[name].is_float() for name in SIZES)
    assert "loss" in SIZES and "label" not in SIZES


def test_the_table_begins_with_what_is_asked_first() -> None:
    assert DEFAULT_COLUMNS == ("label", "predicted", "correct", "loss", "confidence", "split", "out_of_sample")


def test_sections_hold_every_column_once_and_what_is_carried_along() -> None:
    sections = by_section(["camera"])
    assert list(sections) == ["The sample", "The model", "The image", "Latent space", "What is wrong"]
    columns = [column for section in sections.values() for column in section]
    assert sorted(columns) == sorted([*USES, "camera"]) and "camera" in sections[SAMPLE]
    assert by_section([]) == by_section([]), "nothing is carried over from one call to the next"


def test_units_stand_behind_the_words() -> None:
    assert with_unit("loss", "Loss") == "Loss (nats)"
    assert with_unit("confidence", "Confidence") == "Confidence"
    assert with_unit("camera", "Camera") == "Camera"
    assert use_of_column("camera").section == SAMPLE


def test_a_measured_number_is_offered_everywhere_by_its_contract_alone(tiny_lake: str) -> None:
    """Entropy: measured by its stage, declared in its contract, and named in no page."""
    run = Lake(tiny_lake).run()
    assert USES["entropy"].section == MODEL
    for offered in (COLORS, SIZES, color_columns(run), size_columns(run), columns_of(run), axes_of(run)):
        assert "entropy" in offered
    values = joined_samples.scan_samples(run).select("entropy").collect().to_series()
    assert color_scale(values, run.classes, run.groups).kind == "linear"
    assert size_domain(values) == (0.0, 1.0)
    for file in (REPOSITORY / "pages").rglob("*.py"):
        texts = [node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)]
        assert "entropy" not in texts, file


@pytest.mark.parametrize("name", sorted(NO_AXIS))
def test_what_tells_nothing_as_an_axis_is_offered_as_none(tiny_lake: str, name: str) -> None:
    assert name not in axes_of(Lake(tiny_lake).run())


def test_entropy_is_the_share_of_the_largest(tiny_lake: str) -> None:
    run = Lake(tiny_lake).run()
    rows = run.scan("predictions").select("probabilities", "entropy").collect()
    p = np.array(rows["probabilities"].to_list())
    assert rows["entropy"].to_numpy() == pytest.approx(-(p * np.log(p)).sum(1) / np.log(p.shape[1]), abs=1e-5)
