"""What redacting a concept and a voice of the bundled models costs, from the command to the folder.

    OMP_NUM_THREADS=1 python scripts/tools/fit_cost.py --out out/fit_cost.json

Processor seconds of one thread and peak memory; other work on the machine hardly changes them.
"""

import argparse
import os
import tempfile
from pathlib import Path

from start_up import REDACT, cost

from lightning_modules.support.one_line import one_line

CONFIGS = ("configs/text_to_image/bundled.yaml", "configs/text_to_speech/bundled.yaml")
HEADS = ["command", "processor seconds", "peak MiB"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="File for the table, in JSON.")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows = []
    for config in CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            output = ["--export.folder", f"{folder}/redacted", "--trainer.accelerator", "cpu"]
            found = cost([*REDACT, "fit", "-c", config, *output])
        rows.append([f"`redact fit -c {config}`", f"{found['cpu_seconds']:.0f}", f"{found['peak_mib']:.0f}"])
    # a process starts with its parent's peak memory, so that this one stays small until all is measured
    from lightning_modules.comparison.result_tables import ResultTable, write_tables

    table = ResultTable(HEADS, rows)
    write_tables(args.out, {"commands": table})
    print(table.markdown())


if __name__ == "__main__":
    with one_line():
        main()
