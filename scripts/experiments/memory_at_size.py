"""Peak memory of a redaction at the sizes of published text encoders, by method. Resumable.

    PYTHONPATH=tests/support python scripts/experiments/memory_at_size.py --json docs/results/memory.json
    PYTHONPATH=tests/support python scripts/experiments/memory_at_size.py --json docs/results/memory_gpu.json --device cuda
    PYTHONPATH=tests/support python scripts/experiments/memory_at_size.py --json docs/results/memory.json --page docs/results/support.md

CLIP-L, CLIP-G and, on a GPU, T5-XXL are built from their published configurations with random weights, which take as much memory as
trained ones. Each method redacts four rows and keeps four. On a CPU every method has a process of its own, and the peak is that of the
whole process; torch and the libraries alone take the line *nothing*. On a GPU the peak is what torch's allocator gave out. What does
not fit is noted as such.
"""

import argparse
import gc
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import torch
from marks import between
from real_size import CLIP_G, CLIP_L
from tiny_pipelines import tiny_pipeline
from transformers import CLIPTextModel, T5Config, T5EncoderModel

from lightning_modules.comparison.tables import markdown
from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.prompt_encoder import PromptEncoder
from modalities.text_to_image.adapters.prompt_pipeline import PromptPipeline
from redact_core import ClosedForm, Distillation, Lesson, redact
from redact_core.evaluation.cost import Meter
from redact_core.support.folders import write_whole

END = "<!-- end -->"
SIZES = {"CLIP-L": CLIP_L, "CLIP-G": CLIP_G}
T5_XXL = "T5-XXL"
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


def clip(size: str, device: str) -> StableDiffusion:
    """The bundled model with a text encoder of another size."""
    model = StableDiffusion("bundled")
    with torch.device(device):
        model.encoder = PromptEncoder(CLIPTextModel(SIZES[size]).eval())
    model.tokenizer.model_max_length = SIZES[size].max_position_embeddings
    return model


def t5(device: str) -> PromptPipeline:
    """PixArt's pipeline around a T5-XXL; what draws is small."""
    with tempfile.TemporaryDirectory() as folder:
        model = PromptPipeline(str(tiny_pipeline(Path(folder) / "tiny", "PixArtSigmaPipeline")))
    parts = model.encoder.parts
    stock: Any = parts["text_encoder"]
    small = stock.config
    config = T5Config(
        vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu",
        pad_token_id=small.pad_token_id, eos_token_id=small.eos_token_id,
    )  # fmt: skip
    with torch.device(device):
        parts["text_encoder"] = T5EncoderModel(config).eval()
    return model


def measured(size: str, method: str, device: str = "cpu") -> dict[str, Any]:
    """Bytes at the peak of this process, or of the GPU."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with Meter(device) as meter:
        if method != NOTHING:
            model = t5(device) if size == T5_XXL else clip(size, device)
        if method == SOLVED:
            ClosedForm(disturbed=0).solve(model, ROWS)
        elif method in (LAST, ALL):
            if method == LAST:
                model.encoder.train_last(1)
            redact(model, ROWS, objective=Distillation(), steps=1, batch_size=8)
    return {"encoder": size, "method": method, "peak_bytes": meter.peak_bytes}


def fitted(size: str, method: str) -> dict[str, Any]:
    """The same on a GPU; without bytes where its memory is too small."""
    gc.collect()
    torch.cuda.empty_cache()
    began = time.perf_counter()
    try:
        found = measured(size, method, "cuda")
    except torch.cuda.OutOfMemoryError:
        return {"encoder": size, "method": method, "peak_bytes": None}
    return found | {"seconds": time.perf_counter() - began}


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each encoder: the peak of every method that ran."""
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    lines = [["encoder", *methods]]
    for size in dict.fromkeys(row["encoder"] for row in rows):
        own = {row["method"]: row["peak_bytes"] for row in rows if row["encoder"] == size}
        lines.append([size, *(said(own, name) for name in methods)])
    return markdown(lines)


def said(own: Mapping[str, float | None], method: str) -> str:
    if method not in own:
        return "not run"
    peak = own[method]
    return "does not fit" if peak is None else f"{peak / 1e9:.1f} GB"


def cases(device: str, sizes: Sequence[str], methods: Sequence[str]) -> list[tuple[str, str]]:
    """Those that a device is asked for: a T5 needs a GPU here, and has no last block that is trained alone."""
    return [
        (size, method)
        for size in sizes
        for method in methods
        if (method != NOTHING if device == "cuda" else size != T5_XXL)
        if (size, method) != (T5_XXL, LAST)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="Write the table into this page, and measure nothing.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="+", choices=(*SIZES, T5_XXL), default=[*SIZES, T5_XXL])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    config = parser.parse_args()
    rows: list[dict[str, Any]] = (
        json.loads(config.json.read_text(encoding="utf-8"))["rows"] if config.json.exists() else []
    )
    if config.page:
        begin = f"<!-- measured, of {config.json.name} -->"
        text = between(config.page.read_text(encoding="utf-8"), begin, END, table(rows))
        config.page.write_text(text, encoding="utf-8")
        return
    device = torch.cuda.get_device_name() if config.device == "cuda" else "CPU"
    for size, method in cases(config.device, config.sizes, config.methods):
        if any((row["encoder"], row["method"]) == (size, method) for row in rows):
            continue
        if config.device == "cuda":
            rows.append(fitted(size, method))
        else:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                rows.append(pool.submit(measured, size, method).result())
        print(rows[-1], flush=True)
        text = json.dumps({"device": device, "rows": rows}, indent=1, allow_nan=False) + "\n"
        write_whole(config.json, text.encode())


if __name__ == "__main__":
    with one_line():
        main()
