"""The six claims of the tour in order: each a sentence with its count, its test, and the page that shows it.

A claim that was not measured says so instead; one whose needs (images, embeddings, model) the run lacks is omitted.
"""

from dataclasses import dataclass, field

import polars as pl

from lake.contracts.rows import ProofRow, SeparationRow, first_row
from lake.query import queries
from lake.query.aggregates import or_zero
from lake.query.confusions import of_enough_samples
from lake.query.filters import Filters
from lake.query.loss_maps import map_layers
from lake.statistics import bootstrap_mean_interval
from lake.storage.store import Run
from lake.text.formatting import between, p_value
from pages.text import missing
from pages.text.formatting import number, percent, plain, pluralize, share_with_interval
from pages.text.missing import GROUPS, LOSS_MAPS, MAP, SIMILAR
from pages.text.separation import find_purity, first_group, say_ends, say_kinds, say_purity

NEAREST = 15
NOT_MEASURED = "Not measured in this run: refresh to measure it."
NO_MAPS = "This run has no loss maps: no layer of its model puts out a grid of cells over the image."


@dataclass(frozen=True)
class Claim:
    """One step of the tour in Markdown; `query` holds the query parameters of its page."""

    title: str
    page: str
    sentence: str
    evidence: str
    look: str
    query: dict[str, str] = field(default_factory=dict)


def find_claims(run: Run, samples: pl.LazyFrame) -> list[Claim]:
    """Return the claims of the run, up to six; `samples` as from `scan_samples`."""
    held_out = samples.filter(queries.HELD_OUT)
    tables = {name: run.scan(name).collect() for name in ("separation", "findings", "cluster_summaries", "proofs")}
    noun = missing.noun(run)
    claims = [_separation(run, tables["separation"], noun)] if missing.has(run, MAP) else []
    hardest = of_enough_samples(queries.class_report(held_out).sort("mean_loss", descending=True).collect())
    if hardest.is_empty():
        return claims
    label = str(hardest["label"][0])
    confused = queries.top_confusions(held_out).filter(pl.col("label") == label).collect()
    predicted = str(confused["predicted"][0]) if len(confused) else None
    examples = held_out.filter(pl.col("label") == label, pl.col("predicted") == (predicted or label))
    example = examples.sort("loss", "sample_id", descending=[True, False]).head(1).collect()["sample_id"][0]
    claims.append(_hardest_class(run, label, held_out, tables["findings"]))
    claims.append(_confusion(run, label, confused, tables["findings"]))
    if missing.has(run, GROUPS) and run.has("properties"):
        claims.append(_groups(tables["cluster_summaries"]))
    if missing.has(run, SIMILAR):
        claims.append(_similar(run, samples, tables["separation"], _with_neighbors(held_out, examples)))
    if missing.has(run, LOSS_MAPS):
        claims.append(_loss_maps(map_layers(run), tables["proofs"], int(example)))
    return claims


def _separation(run: Run, separation: pl.DataFrame, noun: str) -> Claim:
    purity = find_purity(separation, first_group(run))
    purity_text = say_purity(purity, queries.embedding_size(run), noun) if purity else None
    return Claim(
        title=say_kinds(run),
        page="population_map",
        sentence=f"{purity_text[:1].upper()}{purity_text[1:]}." if purity_text else NOT_MEASURED,
        evidence=_of_purity("Bootstrap interval; chance is the same with the kinds shuffled", purity),
        look=f"Each dot is one {noun}, larger where the model's loss is higher. Click one to see it.",
    )


def _of_purity(method: str, purity: SeparationRow | None) -> str:
    return f"{method}; {purity['n']:,} held-out samples." if purity else ""


def _hardest_class(run: Run, label: str, held_out: pl.LazyFrame, findings: pl.DataFrame) -> Claim:
    losses = held_out.select("label", "loss").collect()
    class_losses, all_losses = losses.filter(pl.col("label") == label)["loss"], losses["loss"]
    low, high = bootstrap_mean_interval(class_losses.to_numpy())
    class_mean, mean = or_zero(class_losses.mean()), or_zero(all_losses.mean())
    filter_text = Filters.of(label=label, out_of_sample="true").to_text()
    noun, mapped = missing.noun(run), missing.has(run, MAP)
    subject = (
        f"only held-out {plain(label)} {noun} has"
        if len(class_losses) == 1
        else f"{len(class_losses):,} held-out {plain(label)} {noun}s have"
    )
    look = f"The large dots are the {noun}s of this class that the model finds hard; the worst are below the map."
    return Claim(
        title=f"The hardest class is {plain(label)}",
        page="population_map" if mapped else "samples",
        sentence=f"The {subject} the highest mean loss, {number(class_mean)} nats ({between(low, high)}): "
        f"{class_mean / mean:.1f} times that of all {len(all_losses):,}.",
        evidence=_describe_test(findings, filter_text),
        look=look if mapped else f"The table has the {noun}s of this class, those that the model finds hardest first.",
        query={"f": filter_text},
    )


def _confusion(run: Run, label: str, confused: pl.DataFrame, findings: pl.DataFrame) -> Claim:
    if confused.is_empty():
        return Claim(
            f"No {plain(label)} is called anything else",
            "confusion",
            f"Every {missing.noun(run)} of it is right.",
            "",
            "",
        )
    row = confused.row(0, named=True)
    tied = len(confused) > 1 and confused["n"][1] == row["n"]
    images = pluralize(row["total"], f"{plain(label)} {missing.noun(run)}")
    filter_text = Filters.of(label=label, predicted=row["predicted"], out_of_sample="true").to_text()
    comparison = ", and read what sets them apart from the ones that are right" if run.has("properties") else ""
    return Claim(
        title=f"It is called {plain(row['predicted'])}",
        page="confusion",
        sentence=f"{share_with_interval(row['n'], row['total'])} of the {images} "
        f"{'is' if row['total'] == 1 else 'are'} called {plain(row['predicted'])}: {row['n']:,}, "
        f"{'as many as another class' if tied else 'more than any other class'}.",
        evidence=_describe_test(findings, filter_text),
        look=f"Click a cell of the matrix for its {missing.noun(run)}s{comparison}.",
    )


def _describe_test(findings: pl.DataFrame, filter_text: str) -> str:
    """Describe the test of the finding with that filter, and whether it was confirmed."""
    rows = findings.filter(pl.col("filter") == filter_text, pl.col("adjusted_p").is_not_null())
    if rows.is_empty():
        return "No finding: its loss is not above that of random groups of its size, or it is too small to tell."
    row = rows.row(0, named=True)
    confirmation = {True: "found again on", False: "not found again on", None: "too few to tell on"}[row["confirmed"]]
    return (
        f"Permutation test against random groups of equal size, adjusted {p_value(row['adjusted_p'])}; {confirmation} "
        "the half of the samples that was held back."
    )


def _groups(summaries: pl.DataFrame) -> Claim:
    """Claim how many groups differ in a measured property, with an example, preferably one with a light background."""
    groups = summaries.filter(method="kmeans").sort("cluster")
    described = groups.filter(pl.col("description").str.contains("(", literal=True))
    sentence = (
        f"{len(described):,} of {len(groups):,} groups differ from all others in a measured property of the image."
    )
    if len(described):
        phrases = ("clearly light background", "light background", " background (")
        preferences = [pl.col("description").str.contains(words, literal=True) for words in phrases]
        example = described.sort(*preferences, "cluster", descending=[True, True, True, False]).row(0, named=True)
        mostly = plain(example["class_mix"][0]["label"])
        sentence += f" Group {example['cluster']}, mostly {mostly}: {plain(example['description'])}."
    if not described["description"].str.contains("light background", literal=True).any():
        sentence += " None has a light background."
    return Claim(
        title="Groups describe themselves",
        page="clusters",
        sentence=sentence,
        evidence="Mann-Whitney test against all other samples, adjusted over groups and properties (p < 0.05), and "
        "Cliff's delta of at least 0.33.",
        look="Select a row of the table to open its group, then compare it with another.",
    )


def _with_neighbors(held_out: pl.LazyFrame, examples: pl.LazyFrame) -> int | None:
    """Return the hardest example with an embedding, else the hardest such held-out sample; None if none has one."""
    for candidates in (examples, held_out):
        hardest = candidates.filter(queries.EMBEDDED).sort("loss", "sample_id", descending=[True, False])
        found = hardest.head(1).collect()["sample_id"]
        if len(found):
            return int(found[0])
    return None


def _similar(run: Run, samples: pl.LazyFrame, separation: pl.DataFrame, example: int | None) -> Claim:
    """Claim how often similar samples have the same label, with the labels of those nearest to the example, if any."""
    purity, noun = find_purity(separation, "label"), missing.noun(run)
    neighbors = run.scan("neighbors").filter(pl.col("sample_id") == example, pl.col("rank") <= NEAREST)
    labels = neighbors.join(samples.select(neighbor_id="sample_id", near="label"), on="neighbor_id").select("near")
    label_counts = labels.drop_nulls().collect()["near"].value_counts(sort=True, name="n")
    nearest = ""
    if len(label_counts):
        near_label, n = label_counts.row(0)
        nearest = (
            f" Of the {label_counts['n'].sum()} labelled ones nearest to sample {example}, {n} are {plain(near_label)}."
        )
    sentence = (
        f"On average {percent(purity['value'])} of the {NEAREST} {noun}s most similar to one share its label "
        f"({say_ends(purity)})."
        if purity
        else NOT_MEASURED
    )
    upload = ", or from an image of your own" if missing.MODEL.is_met(run) else ""
    features = queries.embedding_size(run)
    method = f"Cosine similarity of the {features:,}-d embeddings, compared with every sample"
    return Claim(
        title=f"Similar {noun}s can be fetched",
        page="similar",
        sentence=sentence + nearest,
        evidence=_of_purity(method, purity),
        look=f"Add samples to search from{upload}, and keep what you find as a set.",
        query={} if example is None else {"sample": str(example)},
    )


def _loss_maps(layers: list[str], checks: pl.DataFrame, example: int) -> Claim:
    """Claim that the regions that a loss map marks raise the loss, as measured by blurring them."""
    rows = checks.filter(subject="loss maps", proof=f"deletion, {layers[0] if layers else None}")
    check = first_row(rows, ProofRow)
    sentence, evidence = NOT_MEASURED if layers else NO_MAPS, ""
    if check and check["value"] is not None:
        sentence = (
            f"For {percent(check['value'])} of {check['n']:,} errors{_ends(check)} the loss falls further "
            "when the regions are blurred that a map shows in red than when as much is blurred elsewhere."
        )
        evidence = f"Measured by scoring the blurred images; bar {percent(check['bar'])}: " + (
            "it holds." if check["holds"] else "it is missed."
        )
    return Claim(
        title="Loss maps show why",
        page="loss_analysis",
        sentence=sentence,
        evidence=evidence,
        look="Red regions raise the loss of this image, blue ones lower it; beside the map is the check.",
        query={"sample": str(example)},
    )


def _ends(check: ProofRow) -> str:
    """Return the interval of an estimate in per cent; empty if there is none."""
    if check["low"] is None or check["high"] is None:
        return ""
    return f" ({check['low'] * 100:.1f} to {check['high'] * 100:.1f})"
