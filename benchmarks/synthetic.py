"""A lake of any number of samples, drawn: classes of several clusters each, some of which look like another class.

    .venv/bin/python -m benchmarks.synthetic /tmp/million --samples 1000000

The samples are drawn and appended in parts, so that memory does not grow with their number. All that a run publishes is
there; statements about groups are made of the first part, loss maps of a few of its samples.
Shapes: N samples of a part, K classes, S clusters, D features.
"""

import colorsys
import hashlib
import io
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray
from PIL import Image

from lake.contracts import DATASET_TABLES, RUN_TABLES, TABLES, key_column
from lake.store import Lake
from pipeline.progress import Progress
from pipeline.search_index import index_table
from pipeline.settings import load_settings
from pipeline.stage_tables import to_matrix
from tests import run_tables, tiny_maps
from tests.tiny_data import NOTHING_CARRIED, lists
from tests.tiny_lake import run_facts

CLASSES = ["airplane", "automobile", "bird", "cat", "dog", "deer", "frog", "horse", "ship", "truck"]
GROUPS = {c: "vehicle" if c in ("airplane", "automobile", "ship", "truck") else "animal" for c in CLASSES}
PER_CLASS, CONFUSED = 6, 0.5
"""Clusters of a class, and how often a sample of its first one is called the class after it."""
SPLITS = {"train": 0.7, "validation": 0.1, "test": 0.15, "unlabeled": 0.05}
PART, EXPLAINED = 100_000, 2000
DRAWINGS, SIDE = 8, 32
"""Pictures of a cluster, and their side in pixels: a sample has one of them."""
SETTINGS = load_settings(preset="quick")
RUN_ID = "20260101-000000-aaaaaa"


def build_synthetic_lake(root: str, samples: int, *, features: int = 512, neighbors: int = 10, seed: int = 0) -> Lake:
    """The lake at `root` with one published run of so many samples, of `features` numbers and `neighbors` nearest each.

    The same numbers mean the same rows. It has a search index where a refresh would build one.
    """
    lake, world = Lake(root), World.draw(features, seed)
    dataset_id = f"synthetic-{samples}-{seed}"
    keys = {n: dataset_id if n in DATASET_TABLES else RUN_ID for n in (*DATASET_TABLES, *RUN_TABLES)}
    embeddings: list[NDArray[np.float32]] = []
    with Progress().task("draw", samples) as task:
        for start in range(0, samples, PART):
            part = world.draw_part(start, min(PART, samples - start), seed)
            tables = _per_sample(world, part, neighbors)
            if samples > SETTINGS.index_above:
                embeddings.append(to_matrix(tables["embeddings"]["embedding"]))
            if start == 0:
                tables |= _of_groups(tables)
            for name, frame in tables.items():
                keyed = frame.with_columns(pl.lit(keys[name]).alias(key_column(name)))
                lake.add_rows(name, keyed) if len(keyed) else lake.stage(name, keyed, key=keys[name])
            task.advance(len(part.sample_id))
    if embeddings:
        table = index_table(np.concatenate(embeddings), SETTINGS, Progress())["search_index"]
        lake.stage("search_index", table.with_columns(run_id=pl.lit(RUN_ID)), key=RUN_ID)
    groups = [{"name": "superclass", "label": label, "value": value} for label, value in GROUPS.items()]
    facts = run_facts(run_id=RUN_ID, dataset_id=dataset_id, samples=samples, seed=seed)
    lake.publish(facts | {"dataset_name": "Synthetic", "classes": CLASSES, "groups": groups})
    return lake


@dataclass(frozen=True)
class Part:
    """Some of the samples; row i of every array is the sample `sample_id[i]`."""

    sample_id: NDArray[np.int64]
    cluster: NDArray[np.int64]
    split: NDArray[np.str_]
    seen_as: NDArray[np.int64]
    """The class that it looks like."""
    rng: np.random.Generator

    @property
    def truth(self) -> NDArray[np.int64]:
        """The number of its class."""
        return self.cluster // PER_CLASS


@dataclass(frozen=True)
class World:
    """What all parts share: where each cluster lies and what it looks like."""

    centres_SD: NDArray[np.float32]
    places_S2: NDArray[np.float64]
    pictures: list[list[bytes]]

    @classmethod
    def draw(cls, features: int, seed: int) -> "World":
        """Clusters near the centre of their class, classes near that of their superclass."""
        rng = np.random.default_rng(seed)
        of = np.repeat(np.arange(len(CLASSES)), PER_CLASS)
        kind = np.array([GROUPS[c] == "animal" for c in CLASSES], dtype=np.int64)[of]

        def nested(size: int, spread: tuple[float, float, float]) -> NDArray[np.float64]:
            of_kind, of_class, own = (
                rng.normal(0, s, (n, size)) for s, n in zip(spread, (2, 10, len(of)), strict=True)
            )
            return np.asarray(of_kind[kind] + of_class[of] + own)

        pictures = [[_draw_picture(int(k), rng) for _ in range(DRAWINGS)] for k in of]
        return cls(nested(features, (1, 1, 0.7)).astype(np.float32), nested(2, (9, 5, 2)), pictures)

    def draw_part(self, start: int, count: int, seed: int) -> Part:
        """The samples from `start` on."""
        rng = np.random.default_rng([seed, start])
        cluster = rng.integers(0, len(self.places_S2), count)
        confused = (cluster % PER_CLASS == 0) & (rng.random(count) < CONFUSED)
        return Part(
            sample_id=np.arange(start, start + count),
            cluster=cluster,
            split=rng.choice(list(SPLITS), count, p=list(SPLITS.values())),
            seen_as=(cluster // PER_CLASS + confused) % len(CLASSES),
            rng=rng,
        )


def main(
    root: Annotated[str, typer.Argument(help="Where the lake is to be: a folder or an object-store URL.")],
    samples: Annotated[int, typer.Option(help="How many.")] = 60_000,
    features: Annotated[int, typer.Option(help="Numbers of an embedding.")] = 512,
    neighbors: Annotated[int, typer.Option(help="Nearest of each sample.")] = 10,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
) -> None:
    """Draw a lake and publish its run."""
    build_synthetic_lake(root, samples, features=features, neighbors=neighbors, seed=seed)


def _per_sample(world: World, part: Part, neighbors: int) -> dict[str, pl.DataFrame]:
    """The tables with rows of every sample, and of those that lost much or were trained on."""
    rng, count = part.rng, len(part.sample_id)
    known = _samples(part)
    logits_NK = 4.5 * np.eye(len(CLASSES))[part.seen_as] + rng.normal(0, 1, (count, len(CLASSES)))
    predictions = run_tables.predictions(part.sample_id, logits_NK, part.truth, part.split, CLASSES)
    rows = predictions.join(known.select("sample_id", "split", "label"), on="sample_id", maintain_order="left")
    noise_ND = rng.standard_normal((count, world.centres_SD.shape[1]), dtype=np.float32)
    place_N2 = world.places_S2[part.cluster] + rng.normal(0, 0.7, (count, 2))
    margin = np.where(part.seen_as == part.truth, 3.0, -1.0) + rng.normal(0, 0.5, count)
    return {
        "samples": known,
        "images": _images(world, part),
        "properties": _properties(part),
        "predictions": predictions,
        "embeddings": _frame(part, embedding=lists(world.centres_SD[part.cluster] + noise_ND)),
        "projection": _frame(
            part,
            x=place_N2[:, 0],
            y=place_N2[:, 1],
            neighbors_kept=rng.beta(2, 4, count),
            pca_x=noise_ND[:, 0] + world.centres_SD[part.cluster, 0],
            pca_y=noise_ND[:, 1] + world.centres_SD[part.cluster, 1],
        ),
        "clusters": _clusters(part),
        "neighbors": _neighbors(part, neighbors),
        "triage": run_tables.triage(rows),
        "dynamics": _frame(
            part,
            times_seen=4,
            aum=margin,
            confidence=1 / (1 + np.exp(-margin)),
            variability=0.1,
            times_forgotten=rng.poisson(0.4, count),
        ).filter(pl.Series(part.split == "train")),
    }


def _of_groups(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables that speak of groups, of the model or of a few samples, from those of the first part."""
    known = tables["samples"].select("sample_id", "split", "label")
    rows = tables["predictions"].join(known, on="sample_id", maintain_order="left")
    few = rows.head(EXPLAINED)
    maps = tiny_maps.loss_maps(few)
    empty = ("models", "search_index", "duplicates", "quarantine")
    return {
        "map_quality": run_tables.map_quality(),
        "separation": run_tables.separation(CLASSES),
        "cluster_quality": run_tables.cluster_quality(tables["clusters"]),
        "cluster_summaries": run_tables.cluster_summaries(rows, tables["clusters"]),
        "loss_maps": maps,
        "map_families": tiny_maps.map_families(few, maps),
        "pooled_maps": tiny_maps.pooled_maps(few, maps),
        "label_issues": tiny_maps.label_issues(few),
        "findings": run_tables.findings(rows),
        "training": run_tables.training(),
        **{name: TABLES[name].create_empty() for name in empty},
        "proofs": tiny_maps.proofs(),
        "metrics": run_tables.metrics(rows),
    }


def _frame(part: Part, **columns: object) -> pl.DataFrame:
    return pl.DataFrame({"sample_id": part.sample_id, **columns})


def _samples(part: Part) -> pl.DataFrame:
    names = np.array(CLASSES)[part.truth]
    label = pl.Series(names.tolist()).set(pl.Series(part.split == "unlabeled"), None)
    value = label.replace_strict(GROUPS, default=None)
    return _frame(
        part,
        split=part.split.tolist(),
        label=label,
        groups=pl.select(pl.concat_list(pl.struct(name=pl.lit("superclass"), value=value))).to_series(),
        source_name=[f"drawn/{i}" for i in part.sample_id],
        sha256=[hashlib.sha256(str(i).encode()).hexdigest() for i in part.sample_id],
        metadata=NOTHING_CARRIED.new_from_index(0, len(part.sample_id)),
    )


def _images(world: World, part: Part) -> pl.DataFrame:
    drawing = part.rng.integers(0, DRAWINGS, len(part.sample_id))
    pictures = [world.pictures[cluster][i] for cluster, i in zip(part.cluster, drawing, strict=True)]
    return _frame(part, png=pictures, width=SIDE, height=SIDE)


def _draw_picture(number: int, rng: np.random.Generator) -> bytes:
    """A disc in the colour of a class on a plain background, as PNG."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + rng.integers(-4, 5, (2, 1, 1))
    disc = (x**2 + y**2 < rng.integers(40, 120))[..., None]
    color = np.array(colorsys.hsv_to_rgb(number / len(CLASSES), 0.8, 0.8)) * 255
    pixels = np.where(disc, color, rng.integers(40, 220)) + rng.normal(0, 6, (SIDE, SIDE, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _properties(part: Part) -> pl.DataFrame:
    """Numbers in the right units, some of which tell clusters apart."""
    rng, count = part.rng, len(part.sample_id)
    lightness = (20 + part.cluster % PER_CLASS * 12 + rng.normal(0, 6, count)).clip(0, 100)
    shade = rng.normal(0, 15, count)
    hue = (part.truth * 36 + rng.normal(0, 10, count)) % 360
    chroma = rng.gamma(4, 6, count)
    return _frame(
        part,
        bg_lightness=lightness,
        bg_plainness=rng.gamma(2, 3, count),
        bg_chroma=rng.gamma(2, 5, count),
        object_lightness=(lightness + shade).clip(0, 100),
        shade=shade,
        object_chroma=chroma,
        object_hue=pl.Series(hue).set(pl.Series(chroma < 10), None),
        contrast=rng.gamma(4, 4, count),
        sharpness=rng.gamma(2, 40, count),
        edge_density=rng.beta(2, 6, count),
    )


def _clusters(part: Part) -> pl.DataFrame:
    """k-means finds the clusters, bisecting pairs of them, HDBSCAN calls a tenth noise."""
    distance = part.rng.gamma(4, 0.2, len(part.sample_id))
    far = pl.Series(distance > np.quantile(distance, 0.9))
    noise = {"hdbscan": pl.when(~pl.lit(far)).then(pl.col("cluster", "distance"))}
    parts = {"kmeans": part.cluster, "bisecting": part.cluster // 2, "hdbscan": part.cluster}
    frames = [
        _frame(
            part, method=pl.Series([method]).new_from_index(0, len(far)), cluster=cluster, distance=distance
        ).with_columns(noise.get(method, []), strength=1.0)
        for method, cluster in parts.items()
    ]
    return pl.concat(frames)


def _neighbors(part: Part, count: int) -> pl.DataFrame:
    """The samples that follow in the same cluster of the part."""
    order = np.argsort(part.cluster, kind="stable")
    size = np.bincount(part.cluster)
    count = min(count, int(size[size > 0].min()) - 1)
    first = (np.cumsum(size) - size)[part.cluster[order]]
    place, rank = np.arange(len(order)) - first, np.arange(1, count + 1)
    next_NR = first[:, None] + (place[:, None] + rank) % size[part.cluster[order]][:, None]
    return pl.DataFrame(
        {
            "sample_id": np.repeat(part.sample_id[order], count),
            "rank": np.tile(rank, len(order)),
            "neighbor_id": part.sample_id[order][next_NR].ravel(),
            "similarity": np.tile(0.95 - 0.01 * rank, len(order)),
        }
    )


if __name__ == "__main__":
    typer.run(main)
