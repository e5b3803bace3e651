"""Which column holds the labels, where only the columns of probabilities say what the classes are."""

from dataclasses import replace

import polars as pl

from pipeline.source.listing import Listing
from pipeline.source.predictions.prediction_columns import find_named
from pipeline.source.predictions.wide_columns import are_among


def settle_label_column(listing: Listing) -> None:
    """If the column of labels is asked for, suggest one whose values are the classes that prob_cat and others name.

    Without one, nothing is asked, and no image has a label.
    """
    asked = next((doubt for doubt in listing.notes.doubts if doubt.setting == "label_column"), None)
    named = find_named(listing.table) if asked else None
    if asked is None or named is None:
        return
    texts = [column for column in listing.table if column.dtype == pl.String and column.name not in named.columns]
    fitting = [column for column in texts if are_among(column.drop_nulls(), named.names or [])]
    if any(column.name == asked.suggestion for column in fitting):
        return
    listing.notes.doubts.remove(asked)
    listing.used = [name for name in listing.used if name != asked.suggestion]
    if not fitting:
        listing.images = [replace(image, label=None) for image in listing.images]
        return
    label = fitting[0]
    sentence = (
        f"The values of the column {label.name!r} are classes of the predictions: they may be labels or predicted."
    )
    listing.notes.doubts.append(replace(asked, suggestion=label.name, sentence=sentence))
    listing.used.append(label.name)
    listing.images = [replace(image, label=label[image.row]) for image in listing.images]
