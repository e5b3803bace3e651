"""Loss-map tables of the tiny lake: maps whose left half raises the loss, their pooled maps, and proofs."""

from typing import Any

import numpy as np
import polars as pl

from lake.query.filters import Clause, Filters
from tests.support.lakes.tiny_data import lists

SIDES = {"layer3": 8, "layer4": 4}
FLOOR, FAMILIES = 0.02, 2
POOLED = 30
"""Number of largest classes whose maps are pooled."""


def loss_maps(rows: pl.DataFrame) -> pl.DataFrame:
    """For each held-out sample, a map whose left half raises the loss by about the loss of the sample.

    For errors, the prediction is explained too: there the right half raises the loss.
    """
    held_out = rows.filter(pl.col("out_of_sample"))
    given = held_out.with_columns(target=pl.coalesce("label", "predicted"))
    given = given.with_columns(loss=pl.coalesce("loss", -pl.col("confidence").log()), raises=0)
    wrong = held_out.filter(~pl.col("correct"))
    said = wrong.with_columns(target="predicted", loss=-pl.col("confidence").log(), raises=1)
    both = pl.concat([given.select(said.columns), said])
    return pl.concat([_layer(both, layer, side) for layer, side in SIDES.items()])


def _layer(chosen: pl.DataFrame, layer: str, side: int) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    loss = chosen["loss"].to_numpy() * np.where(chosen["raises"].to_numpy() == 0, 1, 10)
    left = np.where(np.arange(side) < side // 2, 1.0, -0.3)
    sign = np.where(chosen["raises"].to_numpy()[:, None, None] == 0, left, left[::-1])
    maps = loss[:, None, None] * sign * rng.random((len(loss), side, side)) / side**2 * 4
    max_abs = abs(maps).max((1, 2))
    checked = {"loss_without_red": 0.5, "loss_without_blue": 1.3, "loss_without_other": 0.9}
    losses = {
        name: pl.Series(np.where(max_abs >= FLOOR, chosen["loss"].to_numpy() * f, np.nan)).fill_nan(None)
        for name, f in checked.items()
    }
    return chosen.select("sample_id", "target", "loss").with_columns(
        layer=pl.lit(layer),
        height=side,
        width=side,
        values=lists(maps.reshape(len(maps), -1)),
        max_abs=pl.Series(max_abs),
        **losses,
    )


def map_families(rows: pl.DataFrame, maps: pl.DataFrame) -> pl.DataFrame:
    """Two families: errors and correct predictions."""
    loud = maps.filter(pl.col("layer") == "layer3", pl.col("max_abs") >= FLOOR)
    known = (
        rows.drop_nulls("label")
        .filter(pl.col("split") != "train")
        .join(loud, left_on=["sample_id", "label"], right_on=["sample_id", "target"])
    )
    return known.select("sample_id", family=pl.col("correct").cast(pl.Int64), similarity=0.8)


def pooled_maps(rows: pl.DataFrame, maps: pl.DataFrame, pair: tuple[str, str] = ("cat", "dog")) -> pl.DataFrame:
    """Each class against all others, and cats taken for dogs (or another `pair`) against all other cats."""
    own, other = pair
    known = rows.drop_nulls("label").filter(pl.col("out_of_sample"))
    named = maps.join(known.select("sample_id", "label", "predicted"), on="sample_id")
    named = named.filter(pl.col("target") == pl.col("label"))
    held_out = Filters.of(out_of_sample="true")
    everything = held_out.with_clause(Clause(column="label", op="present")).to_text()
    pooled = []
    for layer in SIDES:
        of_layer = named.filter(pl.col("layer") == layer)
        for label in known["label"].value_counts().top_k(POOLED, by="count")["label"].sort():
            inside = pl.col("label") == label
            text = Filters.of(label=label, out_of_sample="true").to_text()
            pooled.append(_pool(of_layer, inside, f"{label} images", text, "all other held-out images", everything))
        of_class = of_layer.filter(pl.col("label") == own)
        text = Filters.of(label=own, predicted=other, out_of_sample="true").to_text()
        wider = Filters.of(label=own, out_of_sample="true").to_text()
        inside, rest = pl.col("predicted") == other, f"all other {own} images"
        pooled.append(_pool(of_class, inside, f"{own} images called {other}", text, rest, wider))
    enough = [row for row in pooled if row is not None]
    return pl.DataFrame(enough, schema_overrides={"values": pl.List(pl.Float32)})


def _pool(
    maps: pl.DataFrame, inside: pl.Expr, name: str, text: str, others: str, others_filter: str
) -> dict[str, Any] | None:
    """None if there are too few maps on either side."""
    if min(len(maps.filter(part)) for part in (inside, ~inside)) < 2:
        return None
    here, there = (_border(maps.filter(part)) for part in (inside, ~inside))
    values = np.array(maps.filter(inside)["values"].to_list()).mean(0)
    side = maps["height"][0]
    return {
        "filter": text,
        "layer": maps["layer"][0],
        "name": name,
        "n": here["n"],
        "height": side,
        "width": side,
        "values": values.tolist(),
        "border_area": 1 - (side - 2) ** 2 / side**2,
        **{f"border_{key}": here[key] for key in ("share", "low", "high")},
        "others": others,
        "others_filter": others_filter,
        "others_n": there["n"],
        **{f"others_{key}": there[key] for key in ("share", "low", "high")},
        "adjusted_p": 0.4,
    }


def _border(maps: pl.DataFrame) -> dict[str, float]:
    """Share of the positive part that lies in the outermost cells, with the interval of a ratio of two sums."""
    side = maps["height"][0]
    raised = np.array(maps["values"].to_list()).reshape(len(maps), side, side).clip(min=0)
    whole, part = raised.sum((1, 2)), raised.sum((1, 2)) - raised[:, 1:-1, 1:-1].sum((1, 2))
    share = part.sum() / whole.sum()
    error = np.sqrt(len(maps) * (part - share * whole).var(ddof=1)) / whole.sum()
    return {"n": len(maps), "share": share, "low": share - 1.96 * error, "high": share + 1.96 * error}


def label_issues(rows: pl.DataFrame, other: str = "ship") -> pl.DataFrame:
    """Every held-out error by descending loss; the two correct samples with the highest loss are ambiguous."""
    held_out = rows.drop_nulls("label").filter(pl.col("out_of_sample")).sort("loss", descending=True)
    wrong, right = held_out.filter(~pl.col("correct")), held_out.filter(pl.col("correct")).head(2)
    parts = []
    for kind, part in (("label", wrong), ("ambiguous", right)):
        likely = pl.when(pl.lit(kind == "label")).then("predicted").otherwise(pl.lit(other))
        listed = part.select(
            "sample_id",
            "label",
            likely=likely,
            kind=pl.lit(kind),
            rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
            score=pl.col("confidence") - (-pl.col("loss")).exp(),
            self_confidence=(-pl.col("loss")).exp(),
            likely_confidence=pl.col("confidence"),
            neighbor_share=0.2,
            likely_neighbor_share=0.8,
            aum=pl.lit(None, pl.Float64),
            expected_precision=0.6 if kind == "label" else pl.lit(None, pl.Float64),
        )
        parts.append(listed)
    return pl.concat(parts)


def proofs() -> pl.DataFrame:
    """Loss maps: one proof that holds, one that fails and one with too few samples. Label issues: a precision."""
    rows = [
        ("loss maps", "deletion", "Share of errors", 40, 0.9, 0.77, 0.96, True),
        ("loss maps", "sign", "Share of signs", 80, 0.6, 0.49, 0.7, False),
        ("loss maps", "mosaics", "Share of mosaics", 4, None, None, None, None),
        ("label issues", "precision, uniform", "Of the first 100", 20, 0.88, 0.85, 0.905, True),
    ]
    names = ["subject", "proof", "claim", "n", "value", "low", "high", "holds"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(rule=pl.lit("at least"), bar=0.7)
