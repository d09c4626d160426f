"""Peak memory of a redaction at the sizes of published text encoders, by method. Resumable.

    python scripts/experiments/memory_at_size.py --json docs/results/memory.json
    python scripts/experiments/memory_at_size.py --json docs/results/memory.json --page docs/results/support.md

CLIP-L and CLIP-G are built from their published configurations with random weights, which take as much memory as trained ones. Each
method redacts four rows and keeps four, in a process of its own, and the peak is that of the whole process; torch and the
libraries alone take the line *nothing*. A T5-XXL does not fit into this: its sizes follow from the configuration, see
support_table.py.
"""

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import torch
from marks import between
from real_size import CLIP_G, CLIP_L
from transformers import CLIPTextModel

from lightning_modules.comparison.tables import markdown
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.prompt_encoder import PromptEncoder
from redact_core import ClosedForm, Distillation, Lesson, redact
from redact_core.evaluation.cost import Meter
from redact_core.support.folders import write_whole

BEGIN, END = "<!-- measured, of memory.json -->", "<!-- end -->"
SIZES = {"CLIP-L": CLIP_L, "CLIP-G": CLIP_G}
NOTHING, LOADED, SOLVED, LAST, ALL = (
    "nothing",
    "loaded",
    "closed form",
    "distillation of the last block",
    "distillation of all weights",
)
METHODS = (NOTHING, LOADED, SOLVED, LAST, ALL)
ROWS = [
    *(
        Lesson.redact(f"a {place} with a cigarette", f"a {place} with a lollipop")
        for place in ("man", "table", "bar", "car")
    ),
    *(Lesson.retain(prompt) for prompt in ("a guitar", "a tree", "a red car", "")),
]


def measured(size: str, method: str) -> dict[str, Any]:
    """Bytes at the peak of this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with Meter("cpu") as meter:
        if method != NOTHING:
            model = StableDiffusion("bundled")
            model.encoder = PromptEncoder(CLIPTextModel(SIZES[size]).eval())
            model.tokenizer.model_max_length = SIZES[size].max_position_embeddings
        if method == SOLVED:
            ClosedForm(disturbed=0).solve(model, ROWS)
        elif method in (LAST, ALL):
            if method == LAST:
                model.encoder.train_last(1)
            redact(model, ROWS, objective=Distillation(), steps=1, batch_size=8)
    return {"encoder": size, "method": method, "peak_bytes": meter.peak_bytes}


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each encoder: the peak of every method that ran."""
    lines = [["encoder", *METHODS]]
    for size in dict.fromkeys(row["encoder"] for row in rows):
        own = {row["method"]: row["peak_bytes"] for row in rows if row["encoder"] == size}
        lines.append([size, *(f"{own[name] / 1e9:.1f} GB" if name in own else "not run" for name in METHODS)])
    return markdown(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="Write the table into this page, and measure nothing.")
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    config = parser.parse_args()
    rows: list[dict[str, Any]] = (
        json.loads(config.json.read_text(encoding="utf-8"))["rows"] if config.json.exists() else []
    )
    if config.page:
        text = between(config.page.read_text(encoding="utf-8"), BEGIN, END, table(rows))
        config.page.write_text(text, encoding="utf-8")
        return
    for size in config.sizes:
        for method in config.methods:
            if any((row["encoder"], row["method"]) == (size, method) for row in rows):
                continue
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                rows.append(pool.submit(measured, size, method).result())
            print(rows[-1], flush=True)
            write_whole(config.json, (json.dumps({"rows": rows}, indent=1, allow_nan=False) + "\n").encode())


if __name__ == "__main__":
    main()
