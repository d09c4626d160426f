"""What every command costs before it does anything: seconds and peak memory, beside `import torch`.

    python scripts/tools/start_up.py --out out/start_up.json

The least of several starts, because other work on the machine only ever adds. Processor time is the
fairer figure for the same reason.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from redact_core import RedactionCard

RULER = "import torch"
REDACT = ("-m", "lightning_modules")
COMMANDS = {
    RULER: ("-c", "import torch"),
    "redact --help": (*REDACT, "--help"),
    "redact card FOLDER": (*REDACT, "card", "{card}"),
    "redact ls": (*REDACT, "ls"),
    "redact report --help": (*REDACT, "report", "--help"),
    "redact score --help": (*REDACT, "score", "--help"),
    "redact evaluate --help": (*REDACT, "evaluate", "--help"),
    "redact attack --help": (*REDACT, "attack", "--help"),
    "redact fit --help": (*REDACT, "fit", "--help"),
    "StableDiffusion (bundled)": (
        "-c", "from modalities.text_to_image import StableDiffusion; StableDiffusion('bundled')",
    ),
    "SpeechT5 (bundled)": ("-c", "from modalities.text_to_speech import SpeechT5; SpeechT5('bundled')"),
}  # fmt: skip


def cost(arguments: list[str]) -> dict[str, float]:
    """Seconds, processor seconds and peak MiB of one process."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with status {process.returncode}")
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file with the figures.")
    args = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        RedactionCard({}, {}, {}, {}, {}, {}, {}, "").write(Path(folder))
        for name, command in COMMANDS.items():
            runs = [cost([part.format(card=folder) for part in command]) for _ in range(args.repeats)]
            figures[name] = {key: min(run[key] for run in runs) for key in runs[0]}
    print("| command | seconds | processor seconds | peak MiB | times `import torch` |")
    print("|---|---|---|---|---|")
    ruler = figures[RULER]["cpu_seconds"]
    for name, row in figures.items():
        share = row["cpu_seconds"] / ruler
        print(
            f"| `{name}` | {row['seconds']:.2f} | {row['cpu_seconds']:.2f} | {row['peak_mib']:.0f} | {share:.2f} |"
        )
    if args.out:
        record = {
            "repeats": args.repeats,
            "machine": platform.machine(),
            "python": platform.python_version(),
            "commands": figures,
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
