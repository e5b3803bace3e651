"""The tables of runs: those that readers see, and those that were kept from them."""

import dataframely as dy

from lake.contracts.columns import dataset_id_column, float_column


class Runs(dy.Schema):
    """One row a published run; a run exists if and only if it has a row here."""

    run_id = dy.String(primary_key=True, description="Start time and fingerprint, for example 20261123-131500-3fa9c1.")
    format_version = dy.Int64(min=1, description="Version of the lake's format that wrote the run.")
    started_at = dy.Datetime(time_zone="UTC", description="When the refresh began.")
    published_at = dy.Datetime(time_zone="UTC", description="When readers could first see it.")
    preset = dy.String(description="Sizes and epochs: smoke, quick, standard or full.")
    dataset_id = dy.String(description="The dataset and its split.")
    dataset_name = dy.String(description="Name of the dataset for people.")
    classes = dy.List(dy.String(), description="Class names in the order of `probabilities`.")
    groups = dy.List(
        dy.Struct({"name": dy.String(), "label": dy.String(), "value": dy.String()}),
        description="What each class counts as, by grouping: superclass, ship, vehicle.",
    )
    metadata = dy.List(
        dy.Struct({"name": dy.String(), "kind": dy.String()}),
        nullable=True,
        description="Columns of the source that are carried along, text or number; null where there are none.",
    )
    fingerprint = dy.String(description="Hash of data, settings and code: equal means nothing new.")
    code_version = dy.String(description="Version of latentlake.")
    packages = dy.String(description="Versions of the packages that computed it, as JSON.")
    config = dy.String(description="Every setting, as JSON.")
    tables = dy.List(
        dy.Struct({"name": dy.String(), "version": dy.Int64(), "rows": dy.Int64()}),
        description="Pinned Delta version and rows of every table of the run.",
    )
    digests = dy.List(
        dy.Struct({"table": dy.String(), "sha256": dy.String()}),
        nullable=True,
        description="SHA-256 over the files of the run in every table; null for a run from before they were taken.",
    )
    checks = dy.Int64(min=0, description="Contract and key checks passed before publishing.")
    stages = dy.List(
        dy.Struct({"name": dy.String(), "fingerprint": dy.String(), "row_key": dy.String(), "fit": dy.String()}),
        nullable=True,
        description="What each stage was computed from, so that the next refresh measures only what is new.",
    )
    forced = dy.String(nullable=True, description="Why it would have been refused, had it not been forced.")


class Rejected(dy.Schema):
    """Runs that were computed and not published, with the reason; their rows stay for a look into them."""

    run_id = dy.String(primary_key=True, description="The run.")
    rejected_at = dy.Datetime(time_zone="UTC", description="When.")
    dataset_id = dataset_id_column(primary_key=False)
    preset = dy.String(description="Sizes and epochs: smoke, quick, standard or full.")
    fingerprint = dy.String(description="Hash of data, settings and code: equal means that the same would come out.")
    reason = dy.String(description="What readers were kept from, in one sentence.")
    before_run_id = dy.String(nullable=True, description="The published run it was measured against.")
    test_accuracy = float_column("Share right of the test samples.", nullable=True, min=0, max=1)
    accuracy_before = float_column("The same of the run before.", nullable=True, min=0, max=1)
