"""Contracts of published and rejected runs."""

import dataframely as dy

from lake.contracts.columns import dataset_id_column, float_column


class Runs(dy.Schema):
    """One row per published run; a run exists if and only if it has a row here."""

    run_id = dy.String(primary_key=True, description="Start time and fingerprint, for example 20261123-131500-3fa9c1.")
    format_version = dy.Int64(min=1, description="Version of the lake's format that wrote the run.")
    started_at = dy.Datetime(time_zone="UTC", description="When the refresh started.")
    published_at = dy.Datetime(time_zone="UTC", description="When the run became visible to readers.")
    preset = dy.String(description="Preset of sizes and epochs: smoke, quick, standard or full.")
    dataset_id = dy.String(description="The dataset and its split.")
    dataset_name = dy.String(description="Display name of the dataset.")
    classes = dy.List(dy.String(), description="Class names in the order of `probabilities`.")
    groups = dy.List(
        dy.Struct({"name": dy.String(), "label": dy.String(), "value": dy.String()}),
        description="Group of each class, by grouping: for example superclass, ship, vehicle.",
    )
    metadata = dy.List(
        dy.Struct({"name": dy.String(), "kind": dy.String()}),
        nullable=True,
        description="Metadata columns of the source, each of kind text, number or integer; null if there are none.",
    )
    fingerprint = dy.String(
        description="Hash of data, settings and code; an equal hash means that nothing has changed."
    )
    code_version = dy.String(description="Version of latentlake.")
    packages = dy.String(description="Versions of the packages that computed the run, as JSON.")
    config = dy.String(description="All settings, as JSON.")
    tables = dy.List(
        dy.Struct({"name": dy.String(), "version": dy.Int64(), "rows": dy.Int64()}),
        description="Pinned Delta version and row count of every table of the run.",
    )
    digests = dy.List(
        dy.Struct({"table": dy.String(), "sha256": dy.String()}),
        nullable=True,
        description="SHA-256 of the files of the run in every table; null for runs older than this column.",
    )
    checks = dy.Int64(min=0, description="Number of contract and key checks passed before publishing.")
    stages = dy.List(
        dy.Struct({"name": dy.String(), "fingerprint": dy.String(), "row_key": dy.String(), "fit": dy.String()}),
        nullable=True,
        description="What each stage was computed from, so that the next refresh computes only what has changed.",
    )
    forced = dy.String(nullable=True, description="Why the run would have been rejected if it had not been forced.")
    understood = dy.List(
        dy.String(),
        nullable=True,
        description="How the source was understood where it could be otherwise, one sentence each; null if plain.",
    )
    assumed = dy.List(
        dy.Struct({"setting": dy.String(), "value": dy.String(), "sentence": dy.String()}),
        nullable=True,
        description="Suggestions taken for what was unclear about the source: the setting, its value as JSON, and the "
        "question. Later refreshes of the dataset take them too.",
    )


class Rejected(dy.Schema):
    """Runs that were computed but not published, with the reason; their rows are kept for inspection."""

    run_id = dy.String(primary_key=True, description="The run.")
    rejected_at = dy.Datetime(time_zone="UTC", description="When the run was rejected.")
    dataset_id = dataset_id_column(primary_key=False)
    preset = dy.String(description="Preset of sizes and epochs: smoke, quick, standard or full.")
    fingerprint = dy.String(description="Hash of data, settings and code; an equal hash means the same result.")
    reason = dy.String(description="Why the run was rejected, in one sentence.")
    before_run_id = dy.String(nullable=True, description="The published run that it was compared with.")
    test_accuracy = float_column("Accuracy on the test samples.", nullable=True, min=0, max=1)
    accuracy_before = float_column("Test accuracy of the run that it was compared with.", nullable=True, min=0, max=1)


class Attempts(dy.Schema):
    """Refreshes that could not use their data and computed nothing; of no interest once a later one succeeds."""

    attempted_at = dy.Datetime(primary_key=True, time_zone="UTC", description="When it stopped.")
    dataset_name = dy.String(description="Display name of the dataset.")
    message = dy.String(description="Why it stopped, and what to do; empty if it succeeded after one that stopped.")
    refused = dy.List(
        dy.Struct({"reason": dy.String(), "n": dy.Int64(), "example": dy.String(), "detail": dy.String()}),
        description="What could not be used: each reason with its count and one example, most frequent first.",
    )
