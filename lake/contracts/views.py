"""The table of what people keep of the analyst's table: which rows, columns and order, under a name."""

import dataframely as dy

from lake.contracts.columns import dataset_id_column

MAX_STATE = 8000
"""Characters of a part of an address that are kept."""


class Views(dy.Schema):
    """Views of the samples that people keep under a name; rows are only ever added, the last of a name counts."""

    dataset_id = dataset_id_column()
    view_id = dy.String(primary_key=True, description="Unique name of the row.")
    name = dy.String(min_length=1, max_length=80, description="What people call the view.")
    filter_ = dy.String(alias="filter", max_length=MAX_STATE, description="The filters, as in a page's address.")
    columns_ = dy.String(  # a class attribute `columns` would hide `Schema.columns`
        alias="columns", max_length=MAX_STATE, description="The columns shown in order, as in the address."
    )
    sort = dy.String(max_length=MAX_STATE, description="The columns sorted by, a leading - is descending.")
    pivot = dy.String(max_length=MAX_STATE, description="The two columns of the table of losses; empty without one.")
    note = dy.String(description="What it is for.")
    saved_by = dy.String(description="Who saved it, or took it back.")
    saved_at = dy.Datetime(time_zone="UTC", description="When.")
    undoes = dy.String(nullable=True, description="The row that this one takes back.")
    run_id = dy.String(nullable=True, description="The run it was saved in.")
