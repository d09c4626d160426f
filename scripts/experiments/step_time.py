"""Time of a training step over the student's bare forward and backward pass, side by side.

    python scripts/experiments/step_time.py                        # prompt and speaker encoder of the bundled bases
    python scripts/experiments/step_time.py --what voice --full    # a speaker encoder of the usual full size beside it

The teacher is not run in the loop, so the ratio should be near 1. Both are measured in turns in one
process; the table gives medians.
"""

import argparse
import statistics
import time

import torch
from full_size import full_size_voices

from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeechT5
from redact_core import Adapter, Distillation, LessonLoader, Request, Targets
from redact_core.objectives.base import frozen_copy

REQUESTS = {"image": (("cigarette",), ("lollipop",)), "voice": (("voice21",), ("voice05",))}


def measure(name: str, model: Adapter, request: Request, steps: int, batch_size: int) -> None:
    objective = Distillation()
    began = time.perf_counter()
    lessons = model.expand(request)
    key = Targets(model, objective, frozen_copy(model.encoder), lessons)
    prepared = time.perf_counter() - began
    loader = iter(LessonLoader(key, batch_size))
    optimizer = torch.optim.AdamW([p for p in model.encoder.parameters() if p.requires_grad], lr=1e-6)
    asked = key.batch(torch.arange(batch_size)).asked
    bare, step = [], []
    for _ in range(steps):
        began = time.perf_counter()
        model.encoder(asked).hidden.square().mean().backward()
        bare.append(time.perf_counter() - began)
        optimizer.zero_grad()
        began = time.perf_counter()
        batch = next(loader, None)
        if batch is None:
            loader = iter(LessonLoader(key, batch_size))
            batch = next(loader)
        torch.stack(list(objective(model.encoder, batch).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        step.append(time.perf_counter() - began)
    a, b = statistics.median(bare), statistics.median(step)
    print(
        f"{name:<28} {len(key):>6} {batch_size:>6} {prepared:10.1f} s {1e3 * a:12.1f} ms {1e3 * b:9.1f} ms {b / a:7.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", choices=("image", "voice", "both"), default="both")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--full", action="store_true", help="also a random ECAPA-TDNN of 1024 channels")
    args = parser.parse_args()
    print("encoder                        rows  batch      answers    bare passes      step   ratio")
    if args.what in ("image", "both"):
        measure("prompt, bundled", StableDiffusion("bundled"), Request(*REQUESTS["image"]), args.steps, 64)
    if args.what in ("voice", "both"):
        model = SpeechT5("bundled")
        measure("voice, bundled", model, Request(*REQUESTS["voice"]), args.steps, 32)
        if args.full:
            measure(
                "voice, 1024 channels, random",
                full_size_voices(),
                Request(*REQUESTS["voice"]),
                max(3, args.steps // 10),
                32,
            )


if __name__ == "__main__":
    with one_line():
        main()
