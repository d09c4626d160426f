"""What methods cost at the size of Stable Diffusion 1.5, side by side: processor seconds and peak memory.

    python scripts/experiments/cost_at_size.py
    python scripts/experiments/cost_at_size.py --rows 1500 --device cuda --out docs/results/tables/compare_cost_gpu.json
    python scripts/experiments/cost_at_size.py --out docs/results/tables/compare_cost.json
    python scripts/tools/tables_page.py docs/results/tables docs/results/compare_methods.md

A CLIP-L text encoder (12 blocks of 768, 77 positions) and the 32 keys and values of SD 1.5's cross-attention, with random
weights: only the cost is of interest. Every method runs in a process of its own. UCE and RECE get these maps alone, without the
rest of the denoiser, which they do not touch; a redaction with ``redact fit`` loads it. Seconds are those of the
processor, so that other work on the machine counts little; on a GPU they are those of the clock, after a run that is not timed. Peak
memory is that of the whole process on a CPU, of which torch and transformers take the line *nothing*, and on a GPU what torch's
allocator gave out.

``--rows`` are the prompts of a redaction that a method sees: HiRM trains on one name whatever they are, UCE encodes them, the closed
form encodes each of them as it is and twice behind random words, or once, and *one step* takes a batch of eight.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from real_size import prompts
from torch import nn

from lightning_modules.comparison.result_tables import ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from redact_core import ClosedForm, Distillation, Lesson, Request, RobustDistillation, redact
from redact_core.evaluation.cost import Meter
from redact_core.objectives._parts.map_rows import MapPlaces
from redact_core.objectives.base import frozen_copy
from redact_core.objectives.published.hirm import HiRM
from redact_core.objectives.published.rece import RECE
from redact_core.objectives.published.uce import UCE
from redact_core.training.loop import adamw

WIDTHS = (320, 320, 640, 640, 1280, 1280, 1280, 1280, 1280, 1280, 640, 640, 640, 320, 320, 320)
"""Of SD 1.5's sixteen cross-attentions, from input to output; each has a key and a value map from 768."""
STEP = 8


def maps(device: str) -> Mapping[str, nn.Module]:
    """Keys and values of cross-attention."""
    return {
        f"{i}.{kind}": nn.Linear(768, width, bias=False, device=device)
        for i, width in enumerate(WIDTHS)
        for kind in ("to_k", "to_v")
    }


def edit(method: UCE) -> Callable[[StableDiffusion, list[Lesson], str], Callable[[], object]]:
    def ready(model: StableDiffusion, lessons: list[Lesson], device: str) -> Callable[[], object]:
        known = maps(device)
        return lambda: method.edit(known, MapPlaces(model, model, lessons, method.places))

    return ready


def hirm(model: StableDiffusion, lessons: list[Lesson], device: str) -> Callable[[], object]:
    del device
    name = [row for row in lessons if row.redacted][:1]
    return lambda: redact(model, name, objective=HiRM(), progress=False)


def closed_form(disturbed: int) -> Callable[[StableDiffusion, list[Lesson], str], Callable[[], object]]:
    def ready(model: StableDiffusion, lessons: list[Lesson], device: str) -> Callable[[], object]:
        del device
        return lambda: ClosedForm(disturbed=disturbed).solve(model, lessons)

    return ready


def one_step(
    kind: Callable[[], Distillation],
) -> Callable[[StableDiffusion, list[Lesson], str], Callable[[], object]]:
    def ready(model: StableDiffusion, lessons: list[Lesson], device: str) -> Callable[[], object]:
        objective = kind()
        student = objective.prepare(model)
        half = STEP // 2
        gone, kept = ([row for row in lessons if row.redacted is flag] for flag in (True, False))
        rows = objective.rows(model, frozen_copy(student), [*gone[:half], *kept[:half]], seed=0)
        batch = rows.batch(torch.arange(len(rows))).to(device)
        optimizer = adamw([p for p in student.parameters() if p.requires_grad], 1e-6)

        def step() -> None:
            torch.stack(list(objective(student, batch).values())).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    return ready


METHODS = {
    "nothing": lambda model, lessons, device: lambda: None,
    "UCE": edit(UCE()),
    "RECE, two rounds": edit(RECE()),
    "HiRM, 15 steps": hirm,
    "closed form": closed_form(2),
    "closed form, `disturbed: 0`": closed_form(0),
    f"distillation, one step of {STEP}": one_step(Distillation),
    f"robust distillation, one step of {STEP}": one_step(RobustDistillation),
}


def measure(name: str, rows: int, device: str, threads: int) -> tuple[float, float]:
    """Seconds and peak bytes of a method, in this process."""
    torch.manual_seed(0)  # of the random weights
    torch.set_num_threads(threads)
    model, _ = prompts()
    model.encoder.to(device)
    lessons = model.expand(Request(("cigarette",), ("lollipop",)))
    gone, kept = ([row for row in lessons if row.redacted is flag] for flag in (True, False))
    # as many redacted rows for retained ones as a redaction has
    share = max(1, round(rows * len(gone) / len(lessons)))
    work = METHODS[name](model, gone[:share] + kept[: max(1, rows - share)], device)
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device == "cuda":  # kernels are chosen and loaded in it
        METHODS[name](model, gone[:share] + kept[: max(1, rows - share)], device)()
        work = METHODS[name](model, gone[:share] + kept[: max(1, rows - share)], device)
        torch.cuda.synchronize()
    with Meter(device) as meter:
        began = clock()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        spent = clock() - began
    return spent, meter.peak_bytes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=list(METHODS))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="File for the table, in JSON.")
    args = parser.parse_args()
    print(f"{args.rows} rows, {args.device}, {args.threads} thread(s)", flush=True)
    rows: list[list[str]] = []
    for name in args.methods:
        if args.device == "cuda":
            torch.cuda.empty_cache()
            seconds, peak = measure(name, args.rows, args.device, args.threads)
        else:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                seconds, peak = pool.submit(measure, name, args.rows, args.device, args.threads).result()
        rows.append(
            [name, f"{seconds:.1f}" if args.device == "cpu" else f"{seconds:.3f}", f"{peak / 2**30:.2f} GiB"]
        )
        print(*rows[-1], sep="  ", flush=True)
    table = ResultTable(["method", "seconds", "peak memory"], rows)
    print(table.markdown())
    if args.out is not None:
        write_tables(args.out, {"cost": table})


if __name__ == "__main__":
    with one_line():
        main()
