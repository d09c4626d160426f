"""Write what exports of a LoRA miss as a table: a line a folder and reader.

redact export out/no_cigarette --as lora --out out/lora
python scripts/tools/export_table.py "the default=out/lora" --out out/lora.json
python scripts/tools/tables_page.py docs/results/tables docs/how_to/other_tools.md
"""

import argparse
import json
from pathlib import Path
from typing import Any

from lightning_modules.comparison.result_tables import ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from lightning_modules.support.pairs import paired

HEADS = ["redaction", "ranks", "read by", "misses on redacted prompts", "moves other prompts"]


def lines(name: str, export: dict[str, Any]) -> list[list[str]]:
    """What `export.json` says of one LoRA; shares of the distance that the redaction moved the redacted prompts."""
    low, high = export["ranks"]
    ranks = str(low) if low == high else f"{low} to {high}"
    return [
        [name, ranks, reader, *(f"{100 * found[group]:.1f} %" for group in ("redacted", "retained"))]
        for reader, found in export["misses"].items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exports", nargs="+", metavar="NAME=FOLDER", help="Of redact export --as lora.")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows: list[list[str]] = []
    for name, folder in paired(args.exports, "NAME=FOLDER").items():
        rows += lines(name, json.loads((Path(folder) / "export.json").read_text(encoding="utf-8")))
    table = ResultTable(HEADS, rows)
    write_tables(args.out, {"misses": table})
    print(table.markdown())


if __name__ == "__main__":
    with one_line():
        main()
