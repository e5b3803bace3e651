"""Contracts for data quality: quarantine, causes of high losses, duplicates, label issues and reviews."""

import dataframely as dy

from lake.contracts.columns import WRONG, Use, dataset_id_column, float_column, one_of, run_id_column, sample_id_column

COPIES = ["exact", "near"]
TIERS = [*COPIES, "similar"]
REASONS = ["doubtful label", "image quality", "far from others", "look-alike class", "unsure"]
LEFT_OUT = "left out by people"
"""Quarantine reason of a usable sample that a reviewer excluded."""
ISSUES = ["label", "ambiguous"]
VERDICTS = ["wrong", "ambiguous", "fine", "duplicate", "exclude", "in set", "undone"]


class Quarantine(dy.Schema):
    """Items of the dataset's source that are not samples: unusable files, and samples that reviewers excluded."""

    dataset_id = dataset_id_column()
    source_name = dy.String(primary_key=True, description="Path in the source, or name of the row.")
    reason = dy.String(description="Reason, in fixed wording: not an image, truncated, label missing, ...")
    detail = dy.String(description="Details of this item, for display.")
    sample_id = dy.Int64(
        nullable=True, min=0, description="Sample id that an excluded sample keeps; null for unusable files."
    )
    split = dy.String(nullable=True, description="Split that an excluded sample keeps.")
    sha256 = dy.String(nullable=True, description="Hash of the pixels of an excluded sample.")


class Triage(dy.Schema):
    """Why the loss of a held-out sample is high, that is, the label has a probability below one half."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    reason = one_of(REASONS, "The first rule that applies", use=Use(WRONG))
    label_share = float_column(
        "Share of its labelled neighbours that have the same label.", nullable=True, min=0, max=1
    )
    predicted_share = float_column(
        "Share of its labelled neighbours whose label is its predicted class.", nullable=True, min=0, max=1
    )
    similarity = float_column("Cosine similarity to its nearest neighbour.", nullable=True, min=-1.001, max=1.001)


class Duplicates(dy.Schema):
    """Samples with an exact or near duplicate, each with the most similar one; leaks take precedence."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    duplicate_id = dy.Int64(min=0, description="The duplicate or similar sample.")
    tier = one_of(
        TIERS,
        "The same pixels; the same up to mirroring and a small shift; or less similar",
        use=Use(WRONG, name="duplicate"),
    )
    correlation = float_column("Correlation of the lightness of the two images.", min=-1.001, max=1.001)
    leak = dy.Bool(
        description="Whether exactly one of the two copies is a training sample.", metadata=Use(WRONG).metadata
    )


class LabelIssues(dy.Schema):
    """Labels that are likely wrong, most doubtful first, and images for which two classes are both likely."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    kind = one_of(ISSUES, "The label is likely wrong, or two classes are both likely")
    rank = dy.Int64(min=1, description="Rank among issues of the same kind; 1 should be reviewed first.")
    label = dy.String(description="The given label.")
    likely = dy.String(description="The more likely class, or for ambiguous images the other likely one.")
    score = float_column(
        "Lead of that class over the label, in the mean of probability and share of neighbours; without an embedding, "
        "in the probability alone.",
        min=-1,
        max=1,
    )
    self_confidence = float_column(
        "Probability of the label, by a model that was not trained on the sample.", min=0, max=1.0001
    )
    likely_confidence = float_column("Probability of the likely class.", min=0, max=1.0001)
    neighbor_share = float_column(
        "Share of its labelled neighbours that have the same label; null without an embedding.",
        nullable=True,
        min=0,
        max=1,
    )
    likely_neighbor_share = float_column(
        "Share of its labelled neighbours that have the likely class; null without an embedding.",
        nullable=True,
        min=0,
        max=1,
    )
    aum = float_column("Area under the margin during training; null if it was not a training sample.", nullable=True)
    expected_precision = float_column(
        "Expected share of wrong labels in the list down to this row, after subtracting contradictions expected by "
        "chance; null if ambiguous.",
        nullable=True,
        min=0,
        max=1,
    )


class Reviews(dy.Schema):
    """Reviews of samples; append-only, a review is undone by a later one."""

    dataset_id = dataset_id_column()
    review_id = dy.String(primary_key=True, description="Unique id of the review.")
    sample_id = dy.Int64(min=0, description="The reviewed sample.")
    verdict = one_of(VERDICTS, "Verdict on the label or sample; `in set` marks a sample of a saved set")
    label = dy.String(nullable=True, description="The correct class, if the label is wrong.")
    note = dy.String(description="Comment, or the name of the set.")
    reviewer = dy.String(description="Name of the reviewer.")
    reviewed_at = dy.Datetime(time_zone="UTC", description="Time of the review.")
    undoes = dy.String(nullable=True, description="The review that this one undoes.")
    run_id = dy.String(nullable=True, description="The run in which the sample was reviewed.")
