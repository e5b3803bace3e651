"""The page Data quality: its sentence, lists and pairs say what the rows say."""

from pathlib import Path

import numpy as np
import polars as pl
from streamlit.testing.v1 import AppTest

from lake.query.reviews import scan_reviews
from lake.storage.store import Lake
from pages.ui.review.copies import difference, unique_pairs
from tests.support.data.scalars import mean
from tests.support.lakes.tiny_data import dataset_id_of
from tests.support.lakes.tiny_lake import RUN_ID, run_facts, stage_all, tiny_tables
from tests.support.servers.apps import HELD_OUT, Open, answer, percent, shown, tiles


def test_the_sentence_counts_doubtful_labels_and_leaks(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    held_out = rows.filter(HELD_OUT)
    wrong = (~held_out["correct"]).sum()
    sentence = answer(open_page(tiny_lake, "data_quality"))
    assert f"agree on another class for {wrong} of {len(held_out)} labels" in sentence
    assert f"the first 100 of such a list held {percent(0.88)}, 85 to 90" in sentence
    assert "1 held-out image has a copy in training." in sentence


def test_the_list_shows_the_most_doubtful_label_first(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    wrong = rows.filter(HELD_OUT & ~pl.col("correct")).sort("loss", descending=True)
    app = open_page(tiny_lake, "data_quality")
    assert [tile["sample_id"] for tile in tiles(app)] == wrong["sample_id"].to_list()
    table = next(d.value for d in app.dataframe if "likely" in d.value.columns)
    assert table["sample_id"].to_list() == wrong["sample_id"].to_list()
    assert table["likely"].to_list() == wrong["predicted"].to_list()
    assert np.allclose(table["self_confidence"], 100 * np.exp(-wrong["loss"].to_numpy()))


def test_ambiguous_images_are_a_list_of_their_own(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    right = rows.filter(HELD_OUT & pl.col("correct")).sort("loss", descending=True)
    app = open_page(tiny_lake, "data_quality")
    app.button_group[0].set_value("ambiguous").run()
    assert [tile["sample_id"] for tile in tiles(app)] == right["sample_id"].head(2).to_list()


def test_filters_narrow_the_list(tiny_lake: str, open_page: Open) -> None:
    app = open_page(tiny_lake, "data_quality", f="label.is.ship")
    issues = Lake(tiny_lake).run().scan("label_issues").filter(kind="label", label="ship").collect()
    assert len(tiles(app)) == len(issues)


def test_accuracy_is_shown_with_and_without_leaks(tiny_lake: str, rows: pl.DataFrame, open_page: Open) -> None:
    leaks = Lake(tiny_lake).run().scan("duplicates").collect()["sample_id"].to_list()
    test = rows.filter(pl.col("split") == "test")
    rest = test.filter(~pl.col("sample_id").is_in(leaks))
    said = shown(open_page(tiny_lake, "data_quality")).replace("**", "")
    assert f"{len(test) - len(rest)} of the {len(test)} test images were trained on" in said
    for part in (test, rest):
        assert (
            f"right on {percent(mean(part['correct']))} (" in said or f"on {percent(mean(part['correct']))} (" in said
        )


def test_copies_that_are_no_leaks_count_as_seen_for_the_first_time_and_without_a_tier_every_pair_is_listed(
    tmp_path: Path, open_page: Open
) -> None:
    lake, tables = Lake(tmp_path / "lake"), tiny_tables(samples=40)
    test = tables["samples"].filter(split="test").join(tables["predictions"], on="sample_id").sort("correct")
    wrong, leaked, *others = test["sample_id"]
    (trained, *_) = tables["samples"].filter(split="train")["sample_id"]
    pairs = [(wrong, others[0], "exact"), (leaked, trained, "near"), (others[1], others[2], "similar")]
    both = [
        {"sample_id": a, "duplicate_id": b, "tier": tier}
        for first, second, tier in pairs
        for a, b in ((first, second), (second, first))
    ]
    tables["duplicates"] = pl.DataFrame(both).with_columns(
        run_id=pl.lit(RUN_ID), correlation=0.98, leak=pl.col("tier") == "near"
    )
    stage_all(lake, tables)
    lake.publish(run_facts(dataset_id=dataset_id_of(40, 0), samples=40))
    app = open_page(lake.root, "data_quality")
    rest = test.filter(pl.col("sample_id") != leaked)
    said = shown(app).replace("**", "")
    assert (
        f"4 scored images have a copy, 2 of them an exact one. 1 of the {len(test)} test images were trained on" in said
    )
    assert f"on {percent(mean(rest['correct']))} (" in said[said.index(" with them and on ") :]
    assert "2 more are similar to another" in said and ": similar, correlation" not in said
    app.button_group(key="tiers").set_value([]).run()
    assert [tier for tier in ("exact", "near, a leak", "similar") if f": {tier}, correlation" in shown(app)] == [
        "exact",
        "near, a leak",
        "similar",
    ]


def test_a_pair_is_shown_once_and_a_leak_first() -> None:
    copies = pl.DataFrame(
        {
            "sample_id": [1, 2, 5, 9],
            "duplicate_id": [2, 1, 9, 5],
            "tier": ["near"] * 4,
            "correlation": [0.99, 0.99, 0.98, 0.98],
            "leak": [False, False, True, True],
        }
    )
    assert unique_pairs(copies).select("first", "second").rows() == [(5, 9), (1, 2)]


def test_equal_images_differ_in_nothing_mirrored_and_shifted_ones_neither() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    moved = np.roll(image[:, ::-1], (1, -2), (0, 1))
    assert (difference(image, image) == 128).all()
    assert (difference(image, moved)[3:-3, 3:-3] == 128).all()
    assert (difference(np.zeros_like(image), np.full_like(image, 255)) >= 254).all()


# --- reviews


def test_a_run_without_doubtful_labels_says_so(tmp_path: Path, open_page: Open) -> None:
    lake, tables = Lake(tmp_path / "lake"), tiny_tables(samples=40)
    stage_all(lake, tables | {"label_issues": tables["label_issues"].clear()})
    lake.publish(run_facts(dataset_id=dataset_id_of(40, 0), samples=40))
    said = shown(open_page(lake.root, "data_quality"))
    assert "This run has no doubtful labels." in said
    assert "0 of the 0" not in said and "Every doubtful label" not in said


def click(app: AppTest, key: str) -> AppTest:
    return next(button for button in app.button if button.key == key).click().run()


def test_a_verdict_is_kept_and_the_next_label_follows(lake_copy: Path, rows: pl.DataFrame, open_page: Open) -> None:
    wrong = rows.filter(HELD_OUT & ~pl.col("correct")).sort("loss", descending=True)["sample_id"].to_list()
    app = open_page(str(lake_copy), "data_quality")
    assert f"0 of the {len(wrong)} doubtful labels are reviewed." in shown(app)
    app.text_input(key="reviewer").set_value("Ada").run()
    app = click(app, "verdict-wrong")
    app = click(app, "verdict-fine")
    kept = scan_reviews(Lake(lake_copy), "tiny-240-0").collect()
    assert kept.select("sample_id", "verdict", "label", "reviewer").rows() == [
        (wrong[0], "wrong", "dog", "Ada"),
        (wrong[1], "fine", None, "Ada"),
    ]
    said = shown(app).replace("**", "")
    assert f"2 of the {len(wrong)} doubtful labels are reviewed. Of 2 such labels that people judged" in said
    assert f"{percent(0.5)} (9.5 to 90.5) were wrong" in said
    assert f"Number 3 of the list: sample {wrong[2]}" in said


def test_verdicts_are_taken_back_the_latest_first(lake_copy: Path, open_page: Open) -> None:
    app = open_page(str(lake_copy), "data_quality")
    app.text_input(key="reviewer").set_value("Ada").run()
    app = click(click(click(app, "verdict-fine"), "verdict-ambiguous"), "undo")
    assert "1 of the" in shown(app) and "Number 2 of the list" in shown(app)
    app = click(app, "undo")
    assert "0 of the" in shown(app) and "Number 1 of the list" in shown(app)


def test_a_verdict_without_a_name_is_refused(lake_copy: Path, open_page: Open) -> None:
    app = click(open_page(str(lake_copy), "data_quality"), "verdict-fine")
    assert "needs the name of its reviewer" in app.error[0].value
    assert scan_reviews(Lake(lake_copy), "tiny-240-0").collect().is_empty()
