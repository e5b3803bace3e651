"""The tables of what is wrong with the data: files that are no sample, why a loss is high, copies, doubtful labels."""

import dataframely as dy

from lake.contracts.columns import WRONG, Use, dataset_id_column, float_column, one_of, run_id_column, sample_id_column

COPIES = ["exact", "near"]
TIERS = [*COPIES, "similar"]
REASONS = ["doubtful label", "image quality", "far from others", "look-alike class", "unsure"]
LEFT_OUT = "left out by people"
"""The reason of a sample in quarantine that could be used."""
ISSUES = ["label", "ambiguous"]
VERDICTS = ["wrong", "ambiguous", "fine", "duplicate", "exclude", "in set", "undone"]


class Quarantine(dy.Schema):
    """What a dataset's source holds besides its samples: files that could not be used, and what people left out."""

    dataset_id = dataset_id_column()
    source_name = dy.String(primary_key=True, description="Path in the source, or name of the row.")
    reason = dy.String(description="Why, in words that stay the same: not an image, truncated, label missing, ...")
    detail = dy.String(description="More about this one, for people.")
    sample_id = dy.Int64(nullable=True, min=0, description="The number it keeps, where people left a sample out.")
    split = dy.String(nullable=True, description="The split it keeps.")
    sha256 = dy.String(nullable=True, description="Hash of its pixels.")


class Triage(dy.Schema):
    """Why the loss of a held-out sample is high, where it is: the label has less than even odds."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    reason = one_of(REASONS, "The first rule that fits", use=Use(WRONG))
    label_share = float_column("Share of its labelled neighbours that have its label.", nullable=True, min=0, max=1)
    predicted_share = float_column("Share of them that have its prediction as label.", nullable=True, min=0, max=1)
    similarity = float_column("Cosine to its nearest neighbour.", nullable=True, min=-1.001, max=1.001)


class Duplicates(dy.Schema):
    """Samples that are in the data twice or nearly, each with the one most like it; a leak comes first."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    duplicate_id = dy.Int64(min=0, description="The copy or look-alike.")
    tier = one_of(
        TIERS,
        "The same bytes; alike but for a mirror image and a small shift; or less than that",
        use=Use(WRONG, name="duplicate"),
    )
    correlation = float_column("Of their lightness.", min=-1.001, max=1.001)
    leak = dy.Bool(
        description="Copies of which one was trained on and the other was not.", metadata=Use(WRONG).metadata
    )


class LabelIssues(dy.Schema):
    """Labels that are likely wrong, most doubtful first, and images that may well be either of two classes."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    kind = one_of(ISSUES, "The label is likely wrong, or two classes are both likely")
    rank = dy.Int64(min=1, description="Place in the list of its kind; 1 is to be looked at first.")
    label = dy.String(description="The given label.")
    likely = dy.String(description="The class it likely is, or may be as well.")
    score = float_column(
        "How far that class is ahead of the label, as the mean of probability and share of neighbours.", min=-1, max=1
    )
    self_confidence = float_column("Probability of the label by a model that never saw the sample.", min=0, max=1.0001)
    likely_confidence = float_column("Probability of the likely class.", min=0, max=1.0001)
    neighbor_share = float_column("Share of its labelled neighbours that have its label.", min=0, max=1)
    likely_neighbor_share = float_column("Share of them that have the likely class.", min=0, max=1)
    aum = float_column("Area under the margin while it was trained on; null if it was not.", nullable=True)
    expected_precision = float_column(
        "Share of wrong labels in the list down to here that the probabilities let expect, by no help of chance; "
        "null if ambiguous.",
        nullable=True,
        min=0,
        max=1,
    )


class Reviews(dy.Schema):
    """What people said of samples; rows are only ever added, a later one takes an earlier one back."""

    dataset_id = dataset_id_column()
    review_id = dy.String(primary_key=True, description="Unique name of the review.")
    sample_id = dy.Int64(min=0, description="The sample it is about.")
    verdict = one_of(VERDICTS, "What was said: the label is wrong, fine, ...; in set is a sample of a saved set")
    label = dy.String(nullable=True, description="The right class, where the label is wrong.")
    note = dy.String(description="Why, or the name of the set.")
    reviewer = dy.String(description="Who said so.")
    reviewed_at = dy.Datetime(time_zone="UTC", description="When.")
    undoes = dy.String(nullable=True, description="The review that this one takes back.")
    run_id = dy.String(nullable=True, description="The run it was looked at in.")
