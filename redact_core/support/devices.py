"""Where tensors are computed: moving modules, and random numbers on one device."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn


@torch.inference_mode(mode=False)
def move(
    module: nn.Module, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> None:
    """Move ``module`` in place; what is ``None`` stays as it is.

    Inside inference mode, too, the weights stay ordinary tensors, which can be trained afterwards.
    """
    if device is not None:
        module.to(device=device)
    if dtype is not None:
        module.to(dtype=dtype)


def without_float16(device: torch.device) -> AbstractContextManager[object]:
    """Float32 inside the block where autocast would compute in float16 on ``device``; nothing changes elsewhere.

    For gradients that are not scaled against underflow. bfloat16 has the range of float32 and needs no scaling.
    """
    kind = device.type
    if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) is torch.float16:
        return torch.autocast(kind, enabled=False)
    return nullcontext()


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None]:
    """Seed torch's global generators of the CPU and of ``device`` inside the block, and restore them after it.

    For libraries that draw from the global generator. Other GPUs are not touched: seeding them would
    make a context, and reserve memory, on each.
    """
    cuda = device.type == "cuda"
    index = 0
    if cuda:
        # without a number it is the current one
        index = device.index if ":" in str(device) else torch.cuda.current_device()
    with torch.random.fork_rng([index] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


def device_of(module: nn.Module) -> torch.device:
    """Where the parameters of a module are; the CPU where it has none, such as one that another library runs."""
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
