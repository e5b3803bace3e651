"""What the app has to say, as six claims in order: each a sentence with its count, how it was tested, where to see it.

A claim that was not measured says so instead; one that needs what the predictions were brought without is left out.
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
from pages.text.missing import GROUPS, LOSS_MAPS, MAP, SIMILAR
from pages.text.separation import find_purity, first_group, say_ends, say_kinds, say_purity
from pages.text.words import counted, number, percent, plain, share_with_interval

NEAREST = 15
NOT_MEASURED = "Not measured in this run: refresh to measure it."
NO_MAPS = "This run has no loss maps: no layer of its model puts out a grid of cells over the image."


@dataclass(frozen=True)
class Claim:
    """One step of the tour in Markdown; `query` is what the address of its page asks for."""

    title: str
    page: str
    sentence: str
    proof: str
    look: str
    query: dict[str, str] = field(default_factory=dict)


def find_claims(run: Run, samples: pl.LazyFrame) -> list[Claim]:
    """The claims of the run, up to six; `samples` as from `lake.query.queries.scan_samples`."""
    held_out = samples.filter(queries.HELD_OUT)
    tables = {name: run.scan(name).collect() for name in ("separation", "findings", "cluster_summaries", "proofs")}
    noun = missing.noun(run)
    found = [_separation(run, tables["separation"], noun)] if missing.has(run, MAP) else []
    hardest = of_enough_samples(queries.class_report(held_out).sort("mean_loss", descending=True).collect())
    if hardest.is_empty():
        return found
    label = str(hardest["label"][0])
    confused = queries.top_confusions(held_out).filter(pl.col("label") == label).collect()
    called = str(confused["predicted"][0]) if len(confused) else None
    story = held_out.filter(pl.col("label") == label, pl.col("predicted") == (called or label))
    example = story.sort("loss", "sample_id", descending=[True, False]).head(1).collect()["sample_id"][0]
    found.append(_hardest_class(run, label, held_out, tables["findings"]))
    found.append(_confusion(run, label, confused, tables["findings"]))
    if missing.has(run, GROUPS) and run.has("properties"):
        found.append(_groups(tables["cluster_summaries"]))
    if missing.has(run, SIMILAR):
        found.append(_similar(run, samples, tables["separation"], int(example)))
    if missing.has(run, LOSS_MAPS):
        found.append(_loss_maps(map_layers(run), tables["proofs"], int(example)))
    return found


def _separation(run: Run, separation: pl.DataFrame, noun: str) -> Claim:
    purity = find_purity(separation, first_group(run))
    said = say_purity(purity, queries.embedding_size(run), noun) if purity else None
    return Claim(
        title=say_kinds(run),
        page="population_map",
        sentence=f"{said[:1].upper()}{said[1:]}." if said else NOT_MEASURED,
        proof=_of_purity("Bootstrap interval; chance is the same with the kinds shuffled", purity),
        look=f"Each dot is one {noun}, larger where the model's loss is higher. Click one to see it.",
    )


def _of_purity(how: str, purity: SeparationRow | None) -> str:
    return f"{how}; {purity['n']:,} held-out samples." if purity else ""


def _hardest_class(run: Run, label: str, held_out: pl.LazyFrame, findings: pl.DataFrame) -> Claim:
    losses = held_out.select("label", "loss").collect()
    own, every = losses.filter(pl.col("label") == label)["loss"], losses["loss"]
    low, high = bootstrap_mean_interval(own.to_numpy())
    own_mean, mean = or_zero(own.mean()), or_zero(every.mean())
    where = Filters.of(label=label, out_of_sample="true").to_text()
    noun, mapped = missing.noun(run), missing.has(run, MAP)
    has = (
        f"only held-out {plain(label)} {noun} has"
        if len(own) == 1
        else f"{len(own):,} held-out {plain(label)} {noun}s have"
    )
    look = f"The large dots are the {noun}s of this class that the model finds hard; the worst are below the map."
    return Claim(
        title=f"The hardest class is {plain(label)}",
        page="population_map" if mapped else "samples",
        sentence=f"The {has} the highest mean loss, {number(own_mean)} nats ({between(low, high)}): "
        f"{own_mean / mean:.1f} times that of all {len(every):,}.",
        proof=_tested(findings, where),
        look=look if mapped else f"The table has the {noun}s of this class, those that the model finds hardest first.",
        query={"f": where},
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
    images = counted(row["total"], f"{plain(label)} {missing.noun(run)}")
    where = Filters.of(label=label, predicted=row["predicted"], out_of_sample="true").to_text()
    apart = ", and read what sets them apart from the ones that are right" if run.has("properties") else ""
    return Claim(
        title=f"It is called {plain(row['predicted'])}",
        page="confusion",
        sentence=f"{share_with_interval(row['n'], row['total'])} of the {images} "
        f"{'is' if row['total'] == 1 else 'are'} called {plain(row['predicted'])}: {row['n']:,}, "
        f"{'as many as another class' if tied else 'more than any other class'}.",
        proof=_tested(findings, where),
        look=f"Click a cell of the matrix for its {missing.noun(run)}s{apart}.",
    )


def _tested(findings: pl.DataFrame, where: str) -> str:
    """The test of the finding with that filter, and whether it was found again."""
    rows = findings.filter(pl.col("filter") == where, pl.col("adjusted_p").is_not_null())
    if rows.is_empty():
        return "No finding: its loss is not above that of random groups of its size, or it is too small to tell."
    row = rows.row(0, named=True)
    again = {True: "found again on", False: "not found again on", None: "too few to tell on"}[row["confirmed"]]
    return (
        f"Permutation test against random groups of equal size, adjusted {p_value(row['adjusted_p'])}; {again} the "
        "half of the samples that was held back."
    )


def _groups(summaries: pl.DataFrame) -> Claim:
    """How many groups differ in a measured property, and one of them, of a light background where there is one."""
    groups = summaries.filter(method="kmeans").sort("cluster")
    described = groups.filter(pl.col("description").str.contains("(", literal=True))
    sentence = (
        f"{len(described):,} of {len(groups):,} groups differ from all others in a measured property of the image."
    )
    if len(described):
        wanted = ("clearly light background", "light background", " background (")
        said = [pl.col("description").str.contains(words, literal=True) for words in wanted]
        example = described.sort(*said, "cluster", descending=[True, True, True, False]).row(0, named=True)
        mostly = plain(example["class_mix"][0]["label"])
        sentence += f" Group {example['cluster']}, mostly {mostly}: {plain(example['description'])}."
    if not described["description"].str.contains("light background", literal=True).any():
        sentence += " None has a light background."
    return Claim(
        title="Groups describe themselves",
        page="clusters",
        sentence=sentence,
        proof="Mann-Whitney test against all other samples, adjusted over groups and properties (p < 0.05), and "
        "Cliff's delta of at least 0.33.",
        look="Select a row of the table to open its group, then compare it with another.",
    )


def _similar(run: Run, samples: pl.LazyFrame, separation: pl.DataFrame, example: int) -> Claim:
    """How often what is similar has the same label, and what is around the example."""
    purity, noun = find_purity(separation, "label"), missing.noun(run)
    near = run.scan("neighbors").filter(pl.col("sample_id") == example, pl.col("rank") <= NEAREST)
    labels = near.join(samples.select(neighbor_id="sample_id", near="label"), on="neighbor_id").select("near")
    counted = labels.drop_nulls().collect()["near"].value_counts(sort=True, name="n")
    around = ""
    if len(counted):
        near_label, n = counted.row(0)
        around = f" Of the {counted['n'].sum()} labelled ones nearest to sample {example}, {n} are {plain(near_label)}."
    shared = (
        f"On average {percent(purity['value'])} of the {NEAREST} {noun}s most similar to one share its label "
        f"({say_ends(purity)})."
        if purity
        else NOT_MEASURED
    )
    own = ", or from an image of your own" if missing.MODEL.is_met(run) else ""
    features = queries.embedding_size(run)
    how = f"Cosine similarity of the {features:,}-d embeddings, compared with every sample"
    return Claim(
        title=f"Similar {noun}s can be fetched",
        page="similar",
        sentence=shared + around,
        proof=_of_purity(how, purity),
        look=f"Add samples to search from{own}, and keep what you find as a set.",
        query={"sample": str(example)},
    )


def _loss_maps(layers: list[str], proofs: pl.DataFrame, example: int) -> Claim:
    """Whether what a loss map marks is what raises the loss, measured by blurring it."""
    rows = proofs.filter(subject="loss maps", proof=f"deletion, {layers[0] if layers else None}")
    measured = first_row(rows, ProofRow)
    sentence, proof = NOT_MEASURED if layers else NO_MAPS, ""
    if measured and measured["value"] is not None:
        sentence = (
            f"For {percent(measured['value'])} of {measured['n']:,} errors{_ends(measured)} the loss falls further "
            "when the regions are blurred that a map shows in red than when as much is blurred elsewhere."
        )
        proof = f"Measured by scoring the blurred images; bar {percent(measured['bar'])}: " + (
            "it holds." if measured["holds"] else "it is missed."
        )
    return Claim(
        title="Loss maps show why",
        page="loss_analysis",
        sentence=sentence,
        proof=proof,
        look="Red regions raise the loss of this image, blue ones lower it; beside the map is the check.",
        query={"sample": str(example)},
    )


def _ends(proof: ProofRow) -> str:
    """The interval of an estimate, in hundredths."""
    if proof["low"] is None or proof["high"] is None:
        return ""
    return f" ({proof['low'] * 100:.1f} to {proof['high'] * 100:.1f})"
