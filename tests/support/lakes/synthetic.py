"""Synthetic lake of any number of samples: classes of several clusters each, some of which look like another class.

    .venv/bin/python -m tests.support.lakes.synthetic /tmp/million --samples 1000000
    .venv/bin/python -m tests.support.lakes.synthetic /tmp/classes --samples 200000 --classes 1000

Samples are drawn and appended in parts, so that memory does not grow with their number. All tables of a published run
exist; those about groups are computed from the first part, loss maps for a few of its samples. Shapes: N samples of a
part, K classes, S clusters, D features.
"""

import colorsys
import hashlib
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray

from lake.contracts.tables import DATASET_TABLES, RUN_TABLES, TABLES, key_column
from lake.pictures import encode_png
from lake.storage.store import Lake
from pipeline.engine.progress import Progress
from pipeline.measure.ann_index import index_table
from pipeline.settings import load_settings
from pipeline.stages.inputs import to_matrix
from tests.support.data.classes import CLUSTERS, CLUSTERS_OF_ONE, NAMES, Classes, draw_classes
from tests.support.lakes import run_tables, tiny_maps
from tests.support.lakes.tiny_data import NO_ORIGINAL, NOTHING_CARRIED, lists
from tests.support.lakes.tiny_lake import run_facts

CLASSES = NAMES
CONFUSED = 0.5
"""Rate at which samples of the first cluster of a class look like the next class, if the class has six clusters."""
SPLITS = {"train": 0.7, "validation": 0.1, "test": 0.15, "unlabeled": 0.05}
PART, EXPLAINED = 100_000, 2000
PROBABILITIES = 20_000_000
"""Maximum number of probabilities in a part, which makes parts smaller if there are many classes."""
DRAWINGS, SIDE = 8, 32
"""Number of pictures per cluster, and their side in pixels; each sample uses one of them."""
SETTINGS = load_settings(preset="quick")
RUN_ID = "20260101-000000-aaaaaa"


def build_synthetic_lake(
    root: str, samples: int, *, classes: int = 10, features: int = 512, neighbors: int = 10, seed: int = 0
) -> Lake:
    """Publish one run of `samples` samples with `features` features and `neighbors` neighbours each, in the lake at
    `root`.

    Equal arguments give equal rows. The run has a search index if a refresh would build one.
    """
    lake, world = Lake(root), World.draw(draw_classes(classes), features, seed)
    dataset_id = f"synthetic-{samples}-{seed}" + (f"-{classes}" if classes != len(CLASSES) else "")
    keys = {n: dataset_id if n in DATASET_TABLES else RUN_ID for n in (*DATASET_TABLES, *RUN_TABLES)}
    embeddings: list[NDArray[np.float32]] = []
    with Progress().task("draw", samples) as task:
        size = min(PART, PROBABILITIES // classes)
        for start in range(0, samples, size):
            part = world.draw_part(start, min(size, samples - start), seed)
            tables = _per_sample(world, part, neighbors)
            if samples > SETTINGS.index_above:
                embeddings.append(to_matrix(tables["embeddings"]["embedding"]))
            if start == 0:
                tables |= _of_groups(world.classes, tables, samples)
            for name, frame in tables.items():
                keyed = frame.with_columns(pl.lit(keys[name]).alias(key_column(name)))
                lake.add_rows(name, keyed) if len(keyed) else lake.stage(name, keyed, key=keys[name])
            task.advance(len(part.sample_id))
    if embeddings:
        table = index_table(np.concatenate(embeddings), SETTINGS, Progress())["search_index"]
        lake.stage("search_index", table.with_columns(run_id=pl.lit(RUN_ID)), key=RUN_ID)
    kinds = world.classes.groups.items()
    groups = [{"name": "superclass", "label": label, "value": value} for label, value in kinds]
    facts = run_facts(run_id=RUN_ID, dataset_id=dataset_id, samples=samples, seed=seed)
    lake.publish(facts | {"dataset_name": "Synthetic", "classes": world.classes.names, "groups": groups})
    return lake


@dataclass(frozen=True)
class Part:
    """Some of the samples; row i of every array belongs to sample `sample_id[i]`."""

    sample_id: NDArray[np.int64]
    cluster: NDArray[np.int64]
    truth: NDArray[np.int64]
    """Class index."""
    group: NDArray[np.int64]
    """Cluster index, or that of several consecutive clusters if there are many."""
    split: NDArray[np.str_]
    seen_as: NDArray[np.int64]
    """Index of the class that the sample looks like."""
    rng: np.random.Generator


@dataclass(frozen=True)
class World:
    """What all parts share: the position of each cluster and its pictures."""

    classes: Classes
    centres_SD: NDArray[np.float32]
    places_S2: NDArray[np.float64]
    pictures: list[list[bytes]]

    @classmethod
    def draw(cls, classes: Classes, features: int, seed: int) -> "World":
        """Draw clusters near the centre of their class, and classes near that of their superclass."""
        rng = np.random.default_rng(seed)
        count = len(classes.names)
        of = np.repeat(np.arange(count), classes.clusters)
        kinds = sorted(set(classes.kinds), reverse=True)
        kind = np.array([kinds.index(name) for name in classes.kinds], dtype=np.int64)[of]

        def nested(size: int, spread: tuple[float, float, float]) -> NDArray[np.float64]:
            sizes = (len(kinds), count, len(of))
            of_kind, of_class, own = (rng.normal(0, s, (n, size)) for s, n in zip(spread, sizes, strict=True))
            return np.asarray(of_kind[kind] + of_class[of] + own)

        drawings = min(DRAWINGS, max(2, DRAWINGS * CLUSTERS // len(of)))
        pictures = [[_draw_picture(int(k) / count, rng) for _ in range(drawings)] for k in of]
        return cls(classes, nested(features, (1, 1, 0.7)).astype(np.float32), nested(2, (9, 5, 2)), pictures)

    def draw_part(self, start: int, count: int, seed: int) -> Part:
        """The `count` samples from id `start`."""
        rng = np.random.default_rng([seed, start])
        classes, clusters = self.classes, len(self.places_S2)
        even = classes.shares is None
        cluster = rng.integers(0, clusters, count) if even else rng.choice(clusters, count, p=classes.shares)
        if start == 0 and classes.single is not None:
            cluster[0] = classes.single * classes.clusters
        truth, rate = cluster // classes.clusters, CONFUSED * classes.clusters / CLUSTERS_OF_ONE
        confused = (cluster % classes.clusters == 0) & (rng.random(count) < rate)
        return Part(
            sample_id=np.arange(start, start + count),
            cluster=cluster,
            truth=truth,
            group=cluster // -(-clusters // CLUSTERS),
            split=_splits(classes, truth, rng),
            seen_as=(truth + confused) % len(classes.names),
            rng=rng,
        )


def main(
    root: Annotated[str, typer.Argument(help="Where the lake is to be: a folder or an object-store URL.")],
    samples: Annotated[int, typer.Option(help="How many.")] = 60_000,
    classes: Annotated[int, typer.Option(min=2, max=1000, help="Ten are alike, others of uneven sizes.")] = 10,
    features: Annotated[int, typer.Option(help="Numbers of an embedding.")] = 512,
    neighbors: Annotated[int, typer.Option(help="Nearest of each sample.")] = 10,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
) -> None:
    """Draw a lake and publish its run."""
    build_synthetic_lake(root, samples, classes=classes, features=features, neighbors=neighbors, seed=seed)


def _splits(classes: Classes, truth: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.str_]:
    """The split of each sample; the only sample of a class is a test sample."""
    split = rng.choice(list(SPLITS), len(truth), p=list(SPLITS.values()))
    for number, name in classes.of_one_split.items():
        split[truth == number] = name
    if classes.single is not None:
        split[truth == classes.single] = "test"
    return split


def _per_sample(world: World, part: Part, neighbors: int) -> dict[str, pl.DataFrame]:
    """The tables with a row for every sample, every high loss or every training sample."""
    rng, count = part.rng, len(part.sample_id)
    classes = world.classes.names
    known = _samples(world.classes, part)
    precision = np.float64 if world.classes.shares is None else np.float32
    logits_NK = rng.standard_normal((count, len(classes)), dtype=precision)
    logits_NK[np.arange(count), part.seen_as] += 4.5 + np.log(len(classes) / len(CLASSES))
    predictions = run_tables.predictions(part.sample_id, logits_NK, part.truth, part.split, classes)
    rows = predictions.join(known.select("sample_id", "split", "label"), on="sample_id", maintain_order="left")
    noise_ND = rng.standard_normal((count, world.centres_SD.shape[1]), dtype=np.float32)
    place_N2 = world.places_S2[part.cluster] + rng.normal(0, 0.7, (count, 2))
    margin = np.where(part.seen_as == part.truth, 3.0, -1.0) + rng.normal(0, 0.5, count)
    return {
        "samples": known,
        "images": _images(world, part),
        "properties": _properties(part, len(classes)),
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
        "neighbors": _neighbors(part, neighbors, within=world.classes.shares is None),
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


def _of_groups(classes: Classes, tables: dict[str, pl.DataFrame], samples: int) -> dict[str, pl.DataFrame]:
    """The tables about groups, the model or a few samples, computed from the first part."""
    known = tables["samples"].select("sample_id", "split", "label")
    rows = tables["predictions"].join(known, on="sample_id", maintain_order="left")
    few = rows.head(EXPLAINED)
    even = classes.shares is None
    pair = run_tables.PAIR if even else run_tables.top_pair(few)
    maps = tiny_maps.loss_maps(few)
    empty = ("models", "search_index", "duplicates", "quarantine")
    return {
        "map_quality": run_tables.map_quality(),
        "separation": run_tables.separation(classes.names, n=120 if even else samples // 4),
        "cluster_quality": run_tables.cluster_quality(tables["clusters"]),
        "cluster_summaries": run_tables.cluster_summaries(rows, tables["clusters"]),
        "loss_maps": maps,
        "map_families": tiny_maps.map_families(few, maps),
        "pooled_maps": tiny_maps.pooled_maps(few, maps, pair),
        "label_issues": tiny_maps.label_issues(few, other="ship" if even else classes.names[1]),
        "findings": run_tables.findings(rows, pair),
        "training": run_tables.training(),
        **{name: TABLES[name].create_empty() for name in empty},
        "proofs": tiny_maps.proofs(),
        "metrics": run_tables.metrics(rows),
    }


def _frame(part: Part, **columns: object) -> pl.DataFrame:
    return pl.DataFrame({"sample_id": part.sample_id, **columns})


def _samples(classes: Classes, part: Part) -> pl.DataFrame:
    names = [classes.names[i] for i in part.truth]
    label = pl.Series(names).set(pl.Series(part.split == "unlabeled"), None)
    value = label.replace_strict(classes.groups, default=None)
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
    drawing = part.rng.integers(0, len(world.pictures[0]), len(part.sample_id))
    pictures = [world.pictures[cluster][i] for cluster, i in zip(part.cluster, drawing, strict=True)]
    return _frame(part, png=pictures, width=SIDE, height=SIDE, **NO_ORIGINAL)


def _draw_picture(hue: float, rng: np.random.Generator) -> bytes:
    """A disc in the colour of a class on a plain background, as PNG."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + rng.integers(-4, 5, (2, 1, 1))
    disc = (x**2 + y**2 < rng.integers(40, 120))[..., None]
    color = np.array(colorsys.hsv_to_rgb(hue, 0.8, 0.8)) * 255
    pixels = np.where(disc, color, rng.integers(40, 220)) + rng.normal(0, 6, (SIDE, SIDE, 3))
    return encode_png(pixels.clip(0, 255).astype(np.uint8))


def _properties(part: Part, classes: int) -> pl.DataFrame:
    """Values in the right units, some of which distinguish clusters."""
    rng, count = part.rng, len(part.sample_id)
    lightness = (20 + part.cluster % CLUSTERS_OF_ONE * 12 + rng.normal(0, 6, count)).clip(0, 100)
    shade = rng.normal(0, 15, count)
    hue = (part.truth * (360 / classes) + rng.normal(0, 10, count)) % 360
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
    """k-means finds the clusters or groups of them, bisecting finds pairs, and HDBSCAN marks a tenth as noise."""
    distance = part.rng.gamma(4, 0.2, len(part.sample_id))
    far = pl.Series(distance > np.quantile(distance, 0.9))
    noise = {"hdbscan": pl.when(~pl.lit(far)).then(pl.col("cluster", "distance"))}
    parts = {"kmeans": part.group, "bisecting": part.group // 2, "hdbscan": part.group}
    frames = [
        _frame(
            part, method=pl.Series([method]).new_from_index(0, len(far)), cluster=cluster, distance=distance
        ).with_columns(noise.get(method, []), strength=1.0)
        for method, cluster in parts.items()
    ]
    return pl.concat(frames)


def _neighbors(part: Part, count: int, *, within: bool) -> pl.DataFrame:
    """Following samples in the same cluster of the part; unless `within`, in the next clusters too."""
    order = np.argsort(part.cluster, kind="stable")
    cluster = part.cluster if within else np.zeros_like(part.cluster)
    size = np.bincount(cluster)
    count = min(count, int(size[size > 0].min()) - 1)
    first = (np.cumsum(size) - size)[cluster[order]]
    place, rank = np.arange(len(order)) - first, np.arange(1, count + 1)
    next_NR = first[:, None] + (place[:, None] + rank) % size[cluster[order]][:, None]
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
