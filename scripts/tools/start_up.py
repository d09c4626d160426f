"""What every command costs before it does anything: seconds and peak memory, beside `import torch`.

    python scripts/tools/start_up.py --out out/start_up.json

The least of several starts, because other work on the machine only ever adds. Processor time is the
fairer figure for the same reason.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lightning_modules.support.one_line import one_line
from redact_core import RedactError, RedactionCard

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


HEADS = ["command", "seconds", "processor seconds", "peak MiB", "times `import torch`"]


def cost(arguments: list[str]) -> dict[str, float]:
    """Seconds, processor seconds and peak MiB of one process."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RedactError(
            f"{shlex.join(arguments)} ended with status {process.returncode}; its last lines say why."
        )
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
    parser.add_argument("--out", type=Path, help="File for the table, in JSON.")
    args = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        RedactionCard({}, {}, {}, {}, {}, {}, {}, "").write(Path(folder))
        for name, command in COMMANDS.items():
            runs = [cost([part.format(card=folder) for part in command]) for _ in range(args.repeats)]
            figures[name] = {key: min(run[key] for run in runs) for key in runs[0]}
    ruler = figures[RULER]["cpu_seconds"]
    rows = [
        [f"`{name}`", f"{row['seconds']:.2f}", f"{row['cpu_seconds']:.2f}", f"{row['peak_mib']:.0f}",
         f"{row['cpu_seconds'] / ruler:.2f}"]
        for name, row in figures.items()
    ]  # fmt: skip
    # a process starts with its parent's peak memory, so that this one stays small until all is measured
    from lightning_modules.comparison.result_tables import ResultTable, write_tables

    table = ResultTable(HEADS, rows)
    print(table.markdown())
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_tables(args.out, {"commands": table})


if __name__ == "__main__":
    with one_line():
        main()
