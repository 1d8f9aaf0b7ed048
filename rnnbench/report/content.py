"""What a report is made of, apart from how it is drawn: tables, pictures, sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Cell", "Picture", "Report", "Section", "Table", "TableColumn"]

Align: TypeAlias = Literal["left", "right"]


@dataclass(frozen=True)
class Cell:
    """One cell: its text, what it sorts by, and whether it is (or may be) the best of its group."""

    text: str
    sort: float | str | None = None
    best: bool = False


@dataclass(frozen=True)
class TableColumn:
    """A heading; ``choices`` asks the page for a filter that lists the column's values."""

    heading: str
    align: Align = "left"
    choices: bool = False


@dataclass(frozen=True)
class Table:
    """A table for readers, and the same at full precision.

    ``name`` is a word that rnnbench chose, so that it may become a file's name. ``rows`` have one
    cell for each of ``columns``. ``data`` holds the numbers behind, with the columns that its
    maker documents; times in seconds, sizes in bytes.
    """

    name: str
    title: str
    description: str
    columns: Sequence[TableColumn]
    rows: Sequence[Sequence[Cell]]
    data: pd.DataFrame

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.name!r} has a row of {len(row)} cells for {len(self.columns)} "
                    "columns"
                )


@dataclass(frozen=True)
class Picture:
    """A figure with a text that says the same to those who do not see it, and its numbers."""

    name: str
    title: str
    caption: str
    alternative: str
    figure: Figure
    data: pd.DataFrame


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, then tables and pictures."""

    name: str
    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Report:
    """Everything of a report."""

    title: str
    verdict: Sequence[str]
    sections: Sequence[Section]

    def with_sections(self, more: Sequence[Section], *, before: str) -> Report:
        """The report with further sections before the one of this name, or at its end."""
        names = [section.name for section in self.sections]
        at = names.index(before) if before in names else len(names)
        return replace(self, sections=[*self.sections[:at], *more, *self.sections[at:]])

    @property
    def tables(self) -> list[Table]:
        """All tables in the order of the page."""
        return [table for section in self.sections for table in section.tables]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures in the order of the page."""
        return [picture for section in self.sections for picture in section.pictures]
