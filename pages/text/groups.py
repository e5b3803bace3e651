"""Clusterings in words: their names and their quality."""

from collections.abc import Iterator

import polars as pl

from pages.text.formatting import percent

METHOD_NAMES = {"kmeans": "k-means", "bisecting": "Bisecting k-means", "hdbscan": "HDBSCAN"}
MEASURE_WORDS = {
    "silhouette": "silhouette",
    "half_agreement": "halves of the samples agree",
    "seed_agreement": "another seed",
}
STABLE, DOUBTFUL = 0.75, 0.6


def say_quality(quality: pl.DataFrame, method: str) -> Iterator[str]:
    """Yield the figures of a method in the table `cluster_quality`; none if it was not measured."""
    values = {(r["measure"], r["of"]): r["value"] for r in quality.filter(method=method).iter_rows(named=True)}
    if not values:
        return
    for name, words in MEASURE_WORDS.items():
        if (name, "") in values:
            yield f"{words} {values[name, '']:.2f}"
    agreements = quality.filter(
        pl.col("measure") == "agreement", (pl.col("method") == method) | (pl.col("of") == method)
    )
    others = [
        f"with {METHOD_NAMES[r['of'] if r['method'] == method else r['method']]} {r['value']:.2f}"
        for r in agreements.iter_rows(named=True)
    ]
    if others:
        yield f"agrees {', '.join(others)}"
    yield f"unclustered {percent(values['noise', ''])}"


def stability_in_words(value: float | None) -> str:
    """ "stable 0.91": how well halves of the samples find a group again."""
    if value is None:
        return "not measured"
    word = "stable" if value >= STABLE else "fair" if value >= DOUBTFUL else "doubtful"
    return f"{word} {value:.2f}"
