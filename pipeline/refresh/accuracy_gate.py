"""Accuracy gate: a run whose test accuracy fell too far below that of the last published run is not published.

A run without any, as its labels are gone, counts as one that is never right.
"""

from lake.errors import UserError
from lake.storage.store import Lake, Run
from lake.text.formatting import percent
from pipeline.settings import Settings

ROUNDING = 1e-9
"""Tolerance for rounding of differences: 0.93 - 0.91 is more than 0.02."""


class Refused(UserError):
    """A run was computed and stored, but not published."""

    status = "refused"

    def __init__(self, run_id: str, reason: str) -> None:
        super().__init__(
            f"The run {run_id} was not published: {reason} Readers still see the previous run; "
            "the same command with --force publishes this one anyway, and the run records it."
        )
        self.run_id, self.reason = run_id, reason


def last_published(lake: Lake, dataset_id: str) -> Run | None:
    """The newest published run of the dataset, or None."""
    runs = lake.runs().filter(dataset_id=dataset_id)
    return lake.run(runs["run_id"][0]) if len(runs) else None


def find_reason(accuracy: float | None, previous: Run | None, settings: Settings) -> str | None:
    """Why a run with this test accuracy (0 to 1) must not follow the previous run; None if it may."""
    earlier = accuracy_of(previous)
    if earlier is None or previous is None:
        return None
    if earlier - (accuracy or 0) <= settings.max_accuracy_drop + ROUNDING:
        return None
    if accuracy is None:
        return (
            f"it has no test accuracy, as no test image has a label, and the run {previous.run_id} had "
            f"{percent(earlier)}: check whether labels were lost."
        )
    return (
        f"the test accuracy fell from {percent(earlier)} (run {previous.run_id}) to {percent(accuracy)}, which is more "
        f"than the {percent(settings.max_accuracy_drop)} that max_accuracy_drop allows."
    )


def accuracy_of(run: Run | None) -> float | None:
    """Test accuracy (0 to 1), as measured when the run was made."""
    return run.metric("score", "test_accuracy") if run else None
