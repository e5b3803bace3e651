"""The table of runs that were kept from readers."""

import dataframely as dy

from lake.columns import dataset_id_column, float_column


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
