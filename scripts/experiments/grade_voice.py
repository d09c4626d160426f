"""Grade a redacted voice against the untouched encoder: who is heard, how alike, how intelligible.

    python scripts/experiments/grade_voice.py --redacted out/no_voice --voice voice21 --reference voice05

Clips and sentences are unseen; both encoders get the same ones, and the same seeds. The judge is a
verifier of another architecture, trained on other utterances; id@N counts all enrolled voices.
"""

import argparse
import json
from pathlib import Path

from lightning_modules.comparison.result_tables import ResultTable, write_tables
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.judges.grading import grade_voice


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
    table = ResultTable(
        ["group", "measure", "base", "redacted", "n"],
        [
            [row["group"], row["metric"], f"{row['base']:.3f}",
             f"{row['redacted']:.3f} [{row['low']:.3f}, {row['high']:.3f}]", str(row["n"])]
            for row in rows
        ],
    )  # fmt: skip
    print(table.markdown())
    out = Path(f"{args.redacted.rstrip('/')}.grades.json")
    out.write_text(json.dumps(rows, indent=1, allow_nan=False), encoding="utf-8")
    write_tables(Path(f"{args.redacted.rstrip('/')}.tables.json"), {"groups": table})


if __name__ == "__main__":
    main()
