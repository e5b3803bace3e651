"""Errors of a source that say what could not be used."""

from lake.errors import UserError
from pipeline.pixels.unusable import Unusable


class UnusableSource(UserError):
    """A source that cannot be used; `refused` holds what could not be used of it, by name."""

    def __init__(self, message: str, refused: list[tuple[str, Unusable]]) -> None:
        super().__init__(message)
        self.refused = refused


class NoImages(UserError):
    """A table in which no column holds images or names them."""


class EmptyTable(UserError):
    """A table with names of columns but no rows."""


class NoColumn(UserError):
    """A table without a column that the settings name."""

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column
