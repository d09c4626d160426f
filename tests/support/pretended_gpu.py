"""A GPU that is not there: tensors that say they are on ``cuda:0``, are computed on the CPU, and refuse to be mixed.

Unlike torch's fake tensors they hold numbers, so that whole searches and samplings run, and gradients need no
driver. Operations between such a tensor and an ordinary one raise what CUDA raises.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

CUDA = torch.device("cuda", 0)
_INDEXED = ("index.Tensor", "index_put.default", "index_put_.default", "_index_put_impl_.default")
_WHOLE = ("stft", "one_hot", "cosine_similarity", "lstm", "gru", "matmul", "__matmul__")
_MOVING = ("copy_.default", "_foreach_copy_.default")


class OnGpu(torch.Tensor):
    """A tensor whose numbers are in :attr:`inner`, an ordinary one."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "OnGpu":
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device="cpu", requires_grad=False,
        )  # fmt: skip
        made.inner = inner
        return made

    @property
    def device(self) -> torch.device:
        return CUDA

    @property
    def is_cuda(self) -> bool:
        return True

    def __repr__(self, **_: Any) -> str:
        return f"OnGpu({self.inner!r})"

    def __deepcopy__(self, memo: dict) -> torch.Tensor:
        made = OnGpu(self.inner.clone()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            made = torch.nn.Parameter(made, self.requires_grad)
        memo[id(self)] = made
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        kwargs.pop("device", None)
        name = str(func).removeprefix("aten.")
        flat = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
        ours = [isinstance(x, OnGpu) for x in flat]
        if not all(ours) and name not in _MOVING and not (name in _INDEXED and ours[0]):
            wrong = [x for x, own in zip(flat, ours, strict=True) if not own and x.dim()]
            if wrong:
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
                    f"({func}, {tuple(wrong[0].shape)})"
                )
        if name in ("view.default", "_unsafe_view.default"):  # the strides of a copy may be others
            return OnGpu(args[0].inner.reshape(args[1]))
        found = func(*tree_map(_inside, args), **tree_map(_inside, kwargs))
        if name == "copy_.default" and not isinstance(args[0], OnGpu):
            return args[0]
        if func._schema.is_mutable:  # in place: what came in goes out
            return args[0] if not isinstance(found, tuple) else tree_map(_outside, found)
        return tree_map(_outside, found)


def _inside(x: Any) -> Any:
    return x.inner if isinstance(x, OnGpu) else x


def _outside(x: Any) -> Any:
    return OnGpu(x) if isinstance(x, torch.Tensor) and not isinstance(x, OnGpu) else x


class _Up(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return OnGpu(x.detach().clone())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _inside(gradient)


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: OnGpu) -> torch.Tensor:
        return x.inner.detach().clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return OnGpu(gradient)


def _moved(x: torch.Tensor, device: torch.device | None) -> torch.Tensor:
    if not isinstance(x, torch.Tensor) or device is None or (device.type == "cuda") == isinstance(x, OnGpu):
        return x
    return _Up.apply(x) if device.type == "cuda" else _Down.apply(x)


def _device_in(args: tuple, kwargs: dict) -> torch.device | None:
    for x in (*args, *kwargs.values()):
        if isinstance(x, torch.device):
            return x
        if isinstance(x, str) and x.split(":")[0] in ("cpu", "cuda"):
            return torch.device(x)
    return None


def _as_one(func: Any, args: Any, kwargs: Any) -> Any:
    """One operation of all, computed on the CPU, whose parts ask for the device behind our back."""
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    if any(x.dim() and not isinstance(x, OnGpu) for x in tensors):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices ({func})"
        )
    down = tree_map(lambda x: _moved(x, torch.device("cpu")), (args, kwargs))
    return tree_map(lambda x: _moved(x, CUDA), func(*down[0], **down[1]))


class _Placing(TorchFunctionMode):
    """Takes the device out of what is asked of torch, and does that part itself."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "_parse_to":
            return func(*args, **kwargs)
        if name in _WHOLE and any(isinstance(x, OnGpu) for x in tree_flatten((args, kwargs))[0]):
            return _as_one(func, args, kwargs)
        if func is torch.Tensor.to:
            x, others = args[0], args[1:]
            like = next((o for o in (*others, *kwargs.values()) if isinstance(o, torch.Tensor)), None)
            device = like.device if like is not None else _device_in(others, kwargs)
            kind = like.dtype if like is not None else next(
                (o for o in (*others, *kwargs.values()) if isinstance(o, torch.dtype)), None)  # fmt: skip
            if kind is not None and kind != x.dtype:
                x = x.to(dtype=kind)
            form = kwargs.get("memory_format")
            if form is not None and x.dim() == 4 and form is torch.channels_last:
                x = x.contiguous(memory_format=form)
            return _moved(x, device)
        if func in (torch.Tensor.cpu, torch.Tensor.cuda):
            return _moved(args[0], torch.device(name))
        if func in (torch.Tensor.tolist, torch.Tensor.__iter__) and isinstance(args[0], OnGpu):
            return args[0].inner.detach().tolist() if func is torch.Tensor.tolist else iter(args[0].unbind(0))
        if func is torch.Tensor.numpy and isinstance(args[0], OnGpu):
            raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first.")
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "cuda":
            if kwargs.get("generator") is not None:
                raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
            return _moved(func(*args, **kwargs | {"device": "cpu"}), CUDA)
        if device is not None and any(isinstance(x, OnGpu) for x in tree_flatten(args)[0]):
            kwargs.pop("device")
            return _moved(func(*args, **kwargs), torch.device(device))
        return func(*args, **kwargs)


_plain_to = torch.nn.Module.to


def _module_to(module: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
    """A module that is there already keeps its parameters, which an optimiser may hold."""
    device, held = _device_in(args, kwargs), [*module.parameters(), *module.buffers()]
    kinds = any(isinstance(x, torch.dtype | torch.memory_format) for x in (*args, *kwargs.values()))
    if device is not None and not kinds and all(x.device.type == device.type for x in held):
        return module
    return _plain_to(module, *args, **kwargs)


@contextmanager
def pretended_gpu() -> Generator[torch.device]:
    """While open, ``cuda`` is a device; autocast for it is the CPU's. Gives the device."""
    autocast, enabled, kind = torch.autocast, torch.is_autocast_enabled, torch.get_autocast_dtype
    fork = torch.random.fork_rng

    def on(device: str) -> str:
        return "cpu" if device == "cuda" else device

    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # an ordinary parameter cannot hold ours
    with (
        mock.patch("torch.autocast", lambda device, *a, **k: autocast(on(device), *a, **k)),
        mock.patch("torch.is_autocast_enabled", lambda device="cuda": enabled(on(device))),
        mock.patch("torch.get_autocast_dtype", lambda device: kind(on(device))),
        mock.patch("torch.random.fork_rng", lambda devices=(), *a, **k: fork([], *a, **k)),
        mock.patch("torch.cuda.current_device", return_value=0),
        mock.patch("torch.nn.Module.to", _module_to),
        mock.patch("torch.cuda.default_generators", [torch.Generator()], create=True),
        _Placing(),
    ):
        try:
            yield CUDA
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
