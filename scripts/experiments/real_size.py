"""What a training step costs at real size, side by side: seconds, peak memory, share of the matrix rate.

    python scripts/experiments/real_size.py                                   # prompt and speaker encoder, all students
    python scripts/experiments/real_size.py --device cuda --precision bf16    # on a GPU

The encoders have the sizes of those in use, a CLIP-L text model (12 blocks of 768, 77 positions), that and a
CLIP-G one (32 of 1280) as the pair that SDXL has, and an ECAPA-TDNN of 1024 channels, and random
weights: only the cost is of interest. Every student runs in a
process of its own, so that its peak memory is its own. The share of the device's matrix rate is the
step's floating-point operations, counted by torch, over its seconds and over the rate of one large
matrix product on the same device in the same precision.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import torch
from full_size import full_size_voices
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.paired_prompt_encoder import PairedPromptEncoder
from modalities.text_to_image.adapters.prompt_encoder import PromptEncoder, PromptReader
from redact_core import Adapter, ClosedForm, Distillation, Request, RobustDistillation, Targets
from redact_core.attacks.low_rank import add_low_rank
from redact_core.evaluation.cost import Meter
from redact_core.objectives.base import frozen_copy
from redact_core.training.loop import adamw

SOLVED = "closed form"
"""Not trained: a step of it is the whole solution, of as many rows as a batch has."""
STUDENTS = ("plain", "last block", "low rank", "robust")
RANK = 8
CLIP_L = CLIPTextConfig(
    vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
)

CLIP_G = CLIPTextConfig(
    vocab_size=49408, hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
    projection_dim=1280, hidden_act="gelu",
)  # fmt: skip


def prompts() -> tuple[StableDiffusion, Request]:
    model = StableDiffusion("bundled")
    model.encoder = PromptEncoder(CLIPTextModel(CLIP_L).eval())
    model.tokenizer.model_max_length = CLIP_L.max_position_embeddings
    return model, Request(("cigarette",), ("lollipop",))


def prompt_pairs() -> tuple[Adapter, Request]:
    model, request = prompts()
    padding = int(str(model.tokenizer.pad_token_id))
    first, second = CLIPTextModel(CLIP_L), CLIPTextModelWithProjection(CLIP_G)
    model.encoder = PairedPromptEncoder(first.eval(), second.eval(), (padding, padding))
    return model, request


def voices() -> tuple[Adapter, Request]:
    return full_size_voices(), Request(("voice21",), ("voice05",))


ENCODERS: dict[str, Callable[[], tuple[Adapter, Request]]] = {
    "prompt": prompts,
    "prompt pair": prompt_pairs,
    "voice": voices,
}


def trained_part(what: str, student: str, encoder: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Leaves gradients to these alone."""
    if student == "low rank":
        return add_low_rank(encoder, RANK, torch.Generator().manual_seed(0))
    if student == "last block" and isinstance(encoder, PromptReader):
        encoder.train_last(1)
    elif student == "last block":  # what follows the blocks: pooling and the map to the embedding
        for name, parameter in encoder.named_parameters():
            parameter.requires_grad_(any(part in name for part in (".mfa.", ".asp", ".fc.")))
    return [p for p in encoder.parameters() if p.requires_grad]


class WholeModel:
    """In place of the counter's tracker of modules, whose hooks do not stand the inner attack's gradients."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def measure(what: str, student: str, args: argparse.Namespace) -> dict[str, float]:
    """Figures of one student, in this process."""
    torch.manual_seed(0)  # of the random weights
    torch.set_num_threads(args.threads)
    model, request = ENCODERS[what]()
    device, low = torch.device(args.device), args.precision == "bf16"
    model.encoder.to(device)
    wanted = RobustDistillation(share=0.25, words=0.0 if what == "voice" else 0.5)
    objective = wanted if student == "robust" else Distillation()
    encoder = objective.prepare(model).to(device)
    lessons = model.expand(request)
    gone, kept = ([x for x in lessons if x.redacted is flag] for flag in (True, False))
    half = args.batch_size // 2
    lessons = gone[:half] + kept[: args.batch_size - half]
    with torch.no_grad():
        key = Targets(model, objective, frozen_copy(encoder), lessons)
    # few clips stand for many: only the cost is of interest
    batch = key.batch(torch.arange(args.batch_size) % len(key)).to(device)
    parameters = trained_part(what, student, encoder)
    optimizer = adamw(parameters, 1e-6)

    def cast() -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16) if low else nullcontext()

    def bare() -> None:
        """The student's own passes, without the method and the optimiser."""
        with cast():
            loss = encoder(batch.asked).hidden.float().square().mean()
        loss.backward()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()

    def step() -> None:
        if student == SOLVED:
            ClosedForm().solve(model, lessons)
            return
        with cast():
            loss = torch.stack(list(objective(encoder, batch).values())).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()

    counter = FlopCounterMode(display=False)
    counter.mod_tracker = WholeModel()  # pyright: ignore[reportAttributeAccessIssue]
    with counter:
        step()
    for _ in range(3):
        step()
    with Meter(device.type) as meter:
        seconds = [seconds_of(step) for _ in range(args.steps)]
    passes = [seconds_of(bare) for _ in range(args.steps)]
    if getattr(args, "profile", False):
        profile(step, device)
    rate = counter.get_total_flops() / statistics.median(seconds)
    return {
        "trained": sum(p.numel() for p in parameters), "seconds": statistics.median(seconds),
        "peak": meter.peak_bytes, "flops": counter.get_total_flops(), "rate": rate,
        "bare": statistics.median(passes), "share": rate / matrix_rate(device, torch.bfloat16 if low else torch.float32),
    }  # fmt: skip


def seconds_of(work: Callable[[], None]) -> float:
    """Of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def profile(step: Callable[[], None], device: torch.device) -> None:
    """Print what five steps spend their time on: the greatest eight on the GPU, and the greatest eight on the CPU."""
    from torch.profiler import ProfilerActivity

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with torch.profiler.profile(activities=kinds) as found:
        for _ in range(5):
            step()
    rows = found.key_averages()
    busy = sum(getattr(row, "self_device_time_total", 0) for row in rows) / 5e3
    spent = sum(row.self_cpu_time_total for row in rows) / 5e3
    launches = sum(row.count for row in rows if "LaunchKernel" in row.key) / 5
    print(
        f"profile of a step: {busy:.2f} ms of kernels, {spent:.2f} ms of CPU, {launches:.0f} kernel launches"
    )
    for title, key in (("GPU", "self_device_time_total"), ("CPU", "self_cpu_time_total")):
        for row in sorted(rows, key=lambda row, key=key: -getattr(row, key, 0))[:8]:
            print(
                f"    {title} {getattr(row, key, 0) / 5e3:8.3f} ms {row.count / 5:7.1f} calls  {row.key[:90]}"
            )


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of one large matrix product of random numbers, the best of five after three to warm up.

    Of random numbers, for a GPU multiplies zeros and ones faster: they cost it less power.
    """
    size = 8192 if device.type == "cuda" else 2048
    a = torch.randn(size, size, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    best = float("inf")
    for _ in range(3):
        a @ a
    if device.type == "cuda":
        torch.cuda.synchronize()
    for _ in range(5):
        began = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", choices=tuple(ENCODERS), default=list(ENCODERS))
    parser.add_argument(
        "--students", nargs="+", choices=(*STUDENTS, SOLVED), default=list(STUDENTS),
        help=f'"{SOLVED}": the whole of it for --batch-size rows, of which a redaction has one or two thousand.',
    )  # fmt: skip
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    print("encoder      student      trained  s a step  times plain  peak memory  TFLOP a step  matrix rate")
    for what in args.what:
        plain = None
        for student in args.students:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(measure, what, student, args).result()
            plain = plain or found["seconds"]
            print(
                f"{what:<12} {student:<10} {found['trained'] / 1e6:7.2f} M {found['seconds']:9.2f} "
                f"{found['seconds'] / plain:12.2f} {found['peak'] / 2**30:8.2f} GiB "
                f"{found['flops'] / 1e12:13.2f} {100 * found['share']:10.0f} %",
                flush=True,
            )


if __name__ == "__main__":
    with one_line():
        main()
