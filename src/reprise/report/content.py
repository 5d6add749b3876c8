"""What a wing tells the report in words: its `page.py` holds one `Page`.

Numbers never stand here: they come from the metrics, the ledger and the figures' data when the page is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Exhibit:
    """A figure or table of the results.

    Attributes:
        name: of `figures/<paper>/<name><suffix>`, or of `plots/<paper>/<name>.csv` for a table.
        title: what it shows, in a few words.
        caption: how to read it.
        alt: what a reader who cannot see it needs: form, axes, series. Empty for a table, which is text itself.
        paper: what the paper shows in its place.
        claims: short ids (without the paper) of the ledger entries that rest on it.
        columns: of a table: heading -> format string over the columns of the CSV file ("{accuracy:.3f}").
        rows: of a table: the columns of the CSV file that split it into several tables.
        suffix: of the figure's file.
    """

    name: str
    title: str
    caption: str
    alt: str = ""
    paper: str = ""
    claims: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[str, ...] = ()
    suffix: Literal[".svg", ".png", ".gif", ".apng"] = ".svg"

    @property
    def moves(self) -> bool:
        """An animation: the page shows it only to a reader who opens it."""
        return self.suffix in (".gif", ".apng")


@dataclass(frozen=True)
class Page:
    """The page of one paper, under the headings of the ML Reproducibility Challenge."""

    title: str
    authors: str
    venue: str
    links: Mapping[str, str]
    summary: str
    scope: tuple[str, ...]
    methodology: tuple[str, ...]
    exhibits: tuple[Exhibit, ...]
    deviations: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]
    easy: tuple[str, ...] = ()
    difficult: tuple[str, ...] = ()
    note: str = ""
