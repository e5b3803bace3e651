"""One number per row, as models of two classes give: a probability, a percentage or a logit of one of the classes.

N rows.
"""

import numpy as np
from numpy.typing import NDArray

from lake.errors import UserError
from lake.text.formatting import percent
from pipeline.config.dataset import PredictionSettings
from pipeline.pixels.decode import Unusable
from pipeline.source.notes import Doubt, Notes
from pipeline.source.predictions.number_sums import FEW, LEAST, NOT_FINITE, UNUSABLE, Floats, check_refused

NEARLY = 1e-6
"""Tolerance for probabilities outside 0 and 1 by rounding errors."""
ENOUGH = 20
"""Number of rows from which it is no chance that all logits lie between 0 and 1."""
LARGEST = 1e4
"""Largest size of a logit, so that float32 holds every loss."""
Refused = dict[int, Unusable]


def single_to_logits(
    numbers_N: NDArray[np.floating],
    settings: PredictionSettings,
    classes: list[str],
    positive: str | None,
    refused: Refused,
) -> tuple[NDArray[np.float32], Refused, Notes]:
    """Logits [N, 2] in the order of the two classes, all refused rows, and notes; see `to_logits`.

    Raises `UserError` if there are not two classes, or if the numbers contradict the settings.
    """
    notes = Notes()
    column = _find_positive(settings, classes, positive, notes)
    value_N = numbers_N.astype(np.float64)
    refused |= {
        row: Unusable(UNUSABLE, NOT_FINITE)
        for row in np.flatnonzero(~np.isfinite(value_N)).tolist()
        if row not in refused
    }
    judged = np.ones(len(value_N), np.bool_)
    judged[list(refused)] = False
    known = value_N[judged]
    is_probability = (value_N >= -NEARLY) & (value_N <= 1 + NEARLY)
    if settings.logits:
        _check_said_logits(known)
    elif not len(known) or is_probability[judged].mean() >= 1 - FEW:
        return _from_probabilities(value_N, column, is_probability | ~judged, refused, notes), refused, notes
    elif known.min() >= 0 and 50 < known.max() <= 100:
        notes.remarks.append("The predictions are percentages from 0 to 100: they are divided by 100.")
        return (
            _from_probabilities(value_N / 100, column, np.ones(len(value_N), np.bool_), refused, notes),
            refused,
            notes,
        )
    elif settings.logits is False:
        return _from_probabilities(value_N, column, is_probability | ~judged, refused, notes), refused, notes
    else:
        row = int(np.flatnonzero(~is_probability & judged)[0])
        share = 1 - is_probability[judged].mean()
        notes.doubts.append(
            Doubt(
                "predictions.logits",
                f"The predictions look like logits of one class: {percent(share, 0)} of {len(known):,} numbers do not "
                f"lie between 0 and 1, as {value_N[row]:.4g} in row {row + 1:,}.",
                True,
            )
        )
    check_refused(refused, len(value_N), "correct them")
    logits_N2 = np.zeros((len(value_N), 2), np.float32)
    logits_N2[judged, column] = np.clip(known, -LARGEST, LARGEST)
    return logits_N2, refused, notes


def _find_positive(settings: PredictionSettings, classes: list[str], positive: str | None, notes: Notes) -> int:
    """The position of the class whose number is given; a doubt if nothing says it."""
    if len(classes) != 2:
        raise UserError(
            f"The predictions have one number per row, which is enough for two classes, but there are "
            f"{len(classes):,}: bring one number for each class, or name both in classes of [dataset.predictions]."
        )
    said = settings.positive or positive
    if said is None:
        notes.doubts.append(
            Doubt(
                "predictions.positive",
                f"The predictions have one number per row: it may be of {classes[0]!r} or of {classes[1]!r}.",
                classes[1],
            )
        )
        return 1
    if said not in classes:
        raise UserError(
            f"positive = {said!r} is none of the classes {classes[0]!r} and {classes[1]!r}: "
            "correct positive in [dataset.predictions]."
        )
    return classes.index(said)


def _from_probabilities(
    value_N: Floats, column: int, usable: NDArray[np.bool_], refused: Refused, notes: Notes
) -> NDArray[np.float32]:
    refused |= {
        row: Unusable(UNUSABLE, f"no probability: {value_N[row]:.4g}")
        for row in np.flatnonzero(~usable).tolist()
        if row not in refused
    }
    check_refused(refused, len(value_N), "correct them, or set logits = true in [dataset.predictions]")
    p = np.clip(np.nan_to_num(value_N, nan=0.5, posinf=0.5, neginf=0.5), LEAST, 1 - LEAST)
    kept = np.delete(value_N, list(refused))
    if len(kept) and np.isin(kept, (0, 1)).all():
        notes.remarks.append(
            "The predictions are 0 or 1 only: accuracy means what it says, but losses, confidence and calibration "
            "mean nothing."
        )
    logits_N2 = np.empty((len(p), 2), np.float32)
    logits_N2[:, column], logits_N2[:, 1 - column] = np.log(p), np.log1p(-p)
    return logits_N2


def _check_said_logits(known: Floats) -> None:
    if len(known) >= ENOUGH and known.min() >= 0 and known.max() <= 1:
        raise UserError(
            f"logits = true, but all {len(known):,} predictions lie between 0 and 1, as probabilities do: set "
            "logits = false in [dataset.predictions]."
        )
