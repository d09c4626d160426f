"""Write the tables of `redact attack` as a file, for pages: one line an attack, one column a model, and the ceiling.

python scripts/tools/attack_tables.py concept=out/attacks style=out/attacks_style --out out/tables.json
"""

import argparse
from pathlib import Path

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from lightning_modules.support.pairs import paired
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.summary import read_summary
from redact_core.reporting.attack_table import AttackRow, attack_table
from redact_core.reporting.verdict import rate_of

HEADS = ["access", "attack", "kind", "budget"]


def as_table(rows: list[AttackRow]) -> ResultTable:
    """By access, and in it worst first on the first model; where several tasks were attacked, each has its lines."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    found = {(row["task"], row["attack"], row["model"]): row for row in rows}
    lines: list[list[Cell]] = []
    for row in rows:
        if row["model"] != models[0]:
            continue
        own = [found[row["task"], row["attack"], model] for model in models]
        leaks = [rate_of(one, "redacted") for one in own]
        task = [row["task"]] if len(tasks) > 1 else []
        lines.append(
            [*task, row["access"], row["attack"], row["kind"], row["budget"], *leaks, rate_of(row, "base")]
        )  # fmt: skip
    return ResultTable([*(["task"] if len(tasks) > 1 else []), *HEADS, *models, "ceiling"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("evidence", nargs="+", metavar="NAME=FOLDER", help="Of redact attack.")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tables: dict[str, ResultTable] = {}
    for name, folder in paired(args.evidence, "NAME=FOLDER").items():
        rows = attack_table(Evidence(Path(folder)), read_summary(Path(folder) / "summary.json"))
        if not rows:
            parser.error(f"{folder} holds no attacks that were judged; give a folder of redact attack.")
        tables[name] = as_table(rows)
        print(f"{name}\n\n{tables[name].markdown()}\n")
    write_tables(args.out, tables)


if __name__ == "__main__":
    with one_line():
        main()
