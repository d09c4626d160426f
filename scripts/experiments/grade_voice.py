"""Grade a redacted voice against the untouched encoder: who is heard, how alike, how intelligible.

    python scripts/experiments/grade_voice.py --redacted out/no_voice --voice voice21 --reference voice05

Clips and sentences are unseen; both encoders get the same ones, and the same seeds. The judge is a
verifier of another architecture, trained on other utterances; id@N counts all enrolled voices.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.judges.grading import grade_voice

NAMES = {"cer": "character error rate", "auroc": "AUROC against other voices"}


def as_table(rows: list[dict[str, Any]]) -> ResultTable:
    """A line for each figure, shares in percent, with its interval."""

    def cells(row: dict[str, Any]) -> list[Cell]:
        share = row["metric"] in ("identified", "cer")
        base, after, low, high = (
            f"{100 * row[key]:.1f}" if share else f"{row[key]:.3f}"
            for key in ("base", "redacted", "low", "high")
        )
        unit = " %" if share else ""
        return [
            row["group"], NAMES.get(row["metric"], row["metric"]), f"{base}{unit}",
            f"{after}{unit} [{low}, {high}]", str(row["n"]),
        ]  # fmt: skip

    return ResultTable(["group", "measure", "base", "redacted", "n"], [cells(row) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redacted", required=True)
    parser.add_argument("--voice", required=True)
    parser.add_argument("--reference")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--n-kept", type=int, default=200)
    args = parser.parse_args()
    base, redacted = SpeechT5("bundled"), SpeechT5("bundled", encoder=args.redacted)
    rows, _ = grade_voice(base, redacted, args.voice, args.reference, args.n, args.n_kept)
    print(f"enrolled voices: N = {len(base.bank.voices)}")
    table = as_table(rows)
    print(table.markdown())
    out = Path(f"{args.redacted.rstrip('/')}.grades.json")
    out.write_text(json.dumps(rows, indent=1, allow_nan=False), encoding="utf-8")
    write_tables(Path(f"{args.redacted.rstrip('/')}.tables.json"), {"groups": table})


if __name__ == "__main__":
    with one_line():
        main()
