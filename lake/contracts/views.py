"""Contract of saved views of the sample table: filters, columns and sort order under a name."""

import dataframely as dy

from lake.contracts.columns import dataset_id_column

MAX_STATE = 8000
"""Maximum number of characters of a part of a view."""


class Views(dy.Schema):
    """Saved views of the sample table; append-only, the last row under a name is valid."""

    dataset_id = dataset_id_column()
    view_id = dy.String(primary_key=True, description="Unique id of the row.")
    name = dy.String(min_length=1, max_length=80, description="Name of the view.")
    filter_ = dy.String(alias="filter", max_length=MAX_STATE, description="Filters, as in the URL of a page.")
    columns_ = dy.String(  # a class attribute `columns` would hide `Schema.columns`
        alias="columns", max_length=MAX_STATE, description="Displayed columns in order, as in the URL."
    )
    sort = dy.String(max_length=MAX_STATE, description="Sort columns; a leading - sorts in descending order.")
    pivot = dy.String(
        max_length=MAX_STATE, description="The two columns of the pivot table of losses; empty if there is none."
    )
    note = dy.String(description="Comment.")
    saved_by = dy.String(description="Name of the person who saved or dropped the view.")
    saved_at = dy.Datetime(time_zone="UTC", description="Time of saving or dropping.")
    undoes = dy.String(nullable=True, description="The row that this one undoes.")
    run_id = dy.String(nullable=True, description="The run in which the view was saved.")
