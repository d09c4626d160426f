"""Tables of results as files: an experiment writes them, and pages of the documentation show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_modules.comparison.tables import markdown, percent
from redact_core.errors import RedactError
from redact_core.metrics.statistics import Rate
from redact_core.support.folders import write_whole

Cell = str | Rate


@dataclass
class ResultTable:
    """Headings, and lines of as many cells. A rate keeps its interval and its number of samples.

    Args:
        heads: Headings of the columns.
        rows: A cell is a text or a rate.
        digits: Decimals of a rate in percent, 0 or more.
        counts: Show the number of samples of each rate.
    """

    heads: list[str]
    rows: Sequence[Sequence[Cell]]
    digits: int = 0
    counts: bool = False

    def markdown(self) -> str:
        """The table in Markdown, rates in percent with their interval at 95 %, a dash for a rate of no sample."""
        return markdown([self.heads, *([self._text(cell) for cell in row] for row in self.rows)])

    def _text(self, cell: Cell) -> str:
        return cell if isinstance(cell, str) else percent(cell, self.digits, count=self.counts)


def write_tables(path: Path, tables: Mapping[str, ResultTable]) -> None:
    """Write tables by their names, whole or not at all."""
    plain = {
        name: {
            "heads": table.heads,
            "digits": table.digits,
            "counts": table.counts,
            "rows": [[_plain(cell) for cell in row] for row in table.rows],
        }
        for name, table in tables.items()
    }
    write_whole(path, (json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def _plain(cell: Cell) -> object:
    if isinstance(cell, str):
        return cell
    return cell._asdict() if cell.n else {"n": 0}


def read_tables(path: Path) -> dict[str, ResultTable]:
    """The tables that :func:`write_tables` wrote.

    Raises:
        RedactError: The file cannot be read, or holds something else.
    """
    none = float("nan")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for table in found.values():
            table["rows"] = [
                [
                    c if isinstance(c, str) else Rate(**{"value": none, "low": none, "high": none} | c)
                    for c in row
                ]
                for row in table["rows"]
            ]
        return {name: ResultTable(**table) for name, table in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RedactError(
            f"{path} holds no tables of results; give a tables.json of an experiment."
        ) from error
