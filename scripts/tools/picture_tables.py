"""Write what robust_picture.py found in one or several folders as one table: a line a measure, a column a folder.

    python scripts/tools/picture_tables.py violin=out/violin trumpet=out/trumpet --out docs/results/tables/robust_reference.json
    python scripts/tools/tables_page.py docs/results/tables docs/results/robust_distillation.md

Each folder holds one setting.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.comparison.tables import MISSING
from lightning_modules.support.one_line import one_line
from lightning_modules.support.pairs import paired
from redact_core import RedactError
from redact_core.metrics.statistics import wilson

_COUNTED = re.compile(r"(.+) \(n=(\d+)\)")


def figures(folder: Path) -> dict[str, Any]:
    """The one file of figures in ``folder``."""
    found = [path for path in folder.glob("*.json") if not path.name.endswith(".setting.json")]
    if len(found) != 1:
        raise RedactError(f"{folder} holds {len(found)} files of figures; give a folder with one setting.")
    return json.loads(found[0].read_text(encoding="utf-8"))


def as_table(columns: dict[str, dict[str, Any]]) -> ResultTable:
    """Counted measures with their intervals, then the seconds."""
    rows: list[list[Cell]] = []
    for label in dict.fromkeys(label for found in columns.values() for label in found):
        counted = _COUNTED.fullmatch(label)
        if counted:
            n = int(counted[2])
            rows.append(
                [
                    counted[1],
                    *(wilson(found[label], n) if label in found else MISSING for found in columns.values()),
                ]
            )
    rows.append(["seconds of CPU", *(f"{found['seconds']:.0f}" for found in columns.values())])
    return ResultTable(["", *columns], rows, counts=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    folders = paired(args.folders, "NAME=FOLDER")
    table = as_table({name: figures(Path(folder)) for name, folder in folders.items()})
    write_tables(args.out, {"pictures": table})


if __name__ == "__main__":
    with one_line():
        main()
