"""Time of a training step over the student's bare forward and backward pass, side by side.

    python scripts/step_time.py --source bundled --steps 60

The teacher is not run in the loop, so the ratio should be near 1. Both are measured in turns in one
process; the table gives medians.
"""

import argparse
import statistics
import time

import torch

from modalities.text_to_image import StableDiffusion
from redact_core import AnswerKey, Distillation, LessonLoader, Request
from redact_core.loop import frozen_copy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", default="bundled")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()
    model, objective = StableDiffusion(args.source), Distillation()
    began = time.perf_counter()
    lessons = model.expand(Request(("cigarette",), ("lollipop",)))
    key = AnswerKey(model, objective, frozen_copy(model.encoder), lessons)
    prepared = time.perf_counter() - began
    loader = iter(LessonLoader(key, args.batch_size))
    parameters = list(model.encoder.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-6)
    ids = key.batch(torch.arange(args.batch_size)).asked
    bare, step = [], []
    for _ in range(args.steps):
        began = time.perf_counter()
        model.encoder(ids).hidden.square().mean().backward()
        bare.append(time.perf_counter() - began)
        optimizer.zero_grad()
        began = time.perf_counter()
        batch = next(loader, None)
        if batch is None:
            loader = iter(LessonLoader(key, args.batch_size))
            batch = next(loader)
        torch.stack(list(objective(model.encoder, batch).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        step.append(time.perf_counter() - began)
    a, b = statistics.median(bare), statistics.median(step)
    print(
        f"{len(lessons)} lessons, answered once by the teacher in {prepared:.1f} s; batch {args.batch_size}"
    )
    print("bare forward + backward   training step   ratio")
    print(f"{1e3 * a:16.1f} ms {1e3 * b:18.1f} ms {b / a:9.3f}")


if __name__ == "__main__":
    main()
