"""Put the tables of several files into one file, each under a name of its own, for pages that show them beside one another.

    python scripts/tools/gather_tables.py default=out/no_guitar.grades/tables.json plain=out/plain.grades/tables.json \\
        --out out/guitar.json

Each file holds one table; ``NAME=FILE:TABLE`` takes that one of several. Tables that OUT holds under other names stay.
"""

import argparse
from pathlib import Path

from lightning_modules.comparison.result_tables import ResultTable, read_tables, write_tables
from lightning_modules.support.one_line import one_line
from lightning_modules.support.pairs import paired
from redact_core import RedactError


def one(path: Path, name: str) -> ResultTable:
    """The table ``name`` of a file, or the only one that it holds."""
    tables = read_tables(path)
    if name in tables:
        return tables[name]
    if not tables:
        raise RedactError(f"{path} holds no table; give another file.")
    if name or len(tables) != 1:
        raise RedactError(f"{path} holds {', '.join(tables)}; give FILE:TABLE with one of them.")
    return next(iter(tables.values()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = read_tables(args.out) if args.out.exists() else {}
    for name, source in paired(args.tables, "NAME=FILE").items():
        path, _, table = source.partition(":")
        found[name] = one(Path(path), table)
    write_tables(args.out, found)


if __name__ == "__main__":
    with one_line():
        main()
