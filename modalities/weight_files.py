"""Reading weights as plain tensors, and writing changed ones as the base wrote its own: names, dtypes, metadata."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from redact_core import RedactError
from redact_core.errors import first_line

C = TypeVar("C", bound=nn.Module)
G = TypeVar("G", bound=nn.Module)
SAFE = ".safetensors"
_OS_ERROR = re.compile(r"os error (\d+)")
CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""The files of a model in our own format: for generators that no library has a folder for."""


def write_like(base: Path, target: Path, state: Mapping[str, Tensor], kind: str, prefix: str = "") -> None:
    """Write ``state`` under the base file's own key names, dtypes and metadata.

    Tools that read single files, and other versions of a library, know a model by its key names;
    writing with the base's keeps all of them working. A base without a change is copied bit by bit.

    Args:
        base: The stock file; tensors that ``state`` lacks (constants) are taken from it.
        target: The file to write; safetensors, whatever the base is.
        state: Of the changed model.
        kind: Its class, for messages.
        prefix: That older versions of the library put before every name.

    Raises:
        RedactError: ``state`` has a tensor that the base does not hold, or one that is not finite in its dtype.
    """
    held = set(names_in(base))
    named = {prefix + name if prefix + name in held else name: value for name, value in state.items()}
    missing = sorted(set(named) - held)
    if missing:
        raise RedactError(f"{base} does not hold {missing[0]}; its key names are not those of a {kind}.")
    if base.suffix == target.suffix == SAFE and not differs(base, named):
        shutil.copyfile(base, target)
        return
    tensors: dict[str, Tensor] = {}
    for name, old in entries(base):
        new = in_dtype(name, named[name], old.dtype, old) if name in named else old
        # a pickle may hold one storage under two names, safetensors may not
        tensors[name] = new.contiguous() if base.suffix == SAFE else new.clone()
    save_safe(tensors, target, metadata_in(base))


def in_dtype(name: str, value: Tensor, dtype: torch.dtype, old: Tensor | None = None) -> Tensor:
    """``value`` on the CPU as a file of this dtype holds it.

    Args:
        name: For the message.
        value: Of the changed model.
        dtype: Of the file.
        old: What the file held, which may be infinite: a mask.

    Raises:
        RedactError: It is not finite, or becomes so: half precision ends at 65504.
    """
    stored = value.detach().to("cpu", dtype)
    finite = not stored.is_floating_point() or bool(torch.isfinite(stored).all())
    if not finite and (old is None or not torch.equal(stored, old)):
        raise RedactError(
            f"The weight {name} is not finite as {dtype}, the base's number format, so nothing was written; "
            "give a lower learning rate."
        )
    return stored


def save_safe(tensors: Mapping[str, Tensor], target: Path, metadata: Mapping[str, str] | None) -> None:
    """Write a safetensors file.

    Raises:
        OSError: As the operating system refuses it; the library has an error of its own for that.
    """
    try:
        save_file(dict(tensors), target, metadata=None if metadata is None else dict(metadata))
    except SafetensorError as error:
        number = _OS_ERROR.search(str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error), str(target)) from error


def names_in(path: Path) -> list[str]:
    """Names of the tensors of a file, without reading those of safetensors."""
    if path.suffix == SAFE:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    return [name for name, _ in entries(path)]


def entries(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a weight file: safetensors one by one, any other as PyTorch's pickle of plain tensors.

    Raises:
        RedactError: A pickle holds more than named tensors, or cannot be read.
    """
    if path.suffix == SAFE:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                yield name, file.get_tensor(name)
        return
    state = unpickled(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RedactError(f"{path}: holds more than named tensors; give a plain state dict.")
    yield from state.items()


def unpickled(path: Path) -> Any:
    """What a file of PyTorch's own format holds: tensors, numbers, texts, and containers of them, but no code.

    Raises:
        RedactError: It holds anything else, or cannot be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 no other format is at hand
    except Exception as error:  # zip, unpickling and tensor errors alike
        raise RedactError(
            f"{path}: is no file of plain tensors (torch.load with weights_only refuses it); convert it first."
        ) from error


def check_plain(path: Path) -> None:
    """Refuse a pickle that holds more than tensors, as :func:`entries` does; safetensors cannot."""
    if path.suffix != SAFE:
        next(entries(path), None)


def metadata_in(path: Path) -> dict[str, str]:
    """What a weight file says of itself; where it says nothing, that its tensors are PyTorch's."""
    if path.suffix != SAFE:
        return {"format": "pt"}
    with safe_open(path, "pt") as file:
        return file.metadata() or {"format": "pt"}


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The part of ``state`` whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


@contextmanager
def refusing(folder: Path, what: str, wanted: str) -> Generator[None]:
    """Turns whatever reading ``folder`` raises into one line: it holds no ``what``; give a folder with ``wanted``."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        if isinstance(error, RedactError):
            raise
        reason = first_line(error)
        raise RedactError(f"{folder} holds no {what} ({reason}); give a folder with {wanted}.") from error


def differs(base: Path, state: Mapping[str, Tensor]) -> bool:
    """Is any tensor of ``state`` another one than the base file's, in the base's dtype?"""
    return any(
        name in state
        and (
            state[name].shape != old.shape or not torch.equal(state[name].detach().to("cpu", old.dtype), old)
        )
        for name, old in entries(base)
    )


@dataclass(frozen=True)
class Loaded(Generic[C, G]):
    """A model in our own format, in float32 and in evaluation mode."""

    config: dict[str, Any]
    conditioner: C
    generator: G


def load_model(
    folder: Path,
    what: str,
    check: Callable[[Path, Mapping[str, Any]], None],
    build: Callable[[Any], tuple[C, G]],
) -> Loaded[C, G]:
    """Read a model of a conditioner and a generator.

    Args:
        folder: With ``config.json`` and ``model.safetensors``.
        what: It should hold, for messages.
        check: Refuses the folder whose configuration is of another kind.
        build: A configuration -> conditioner and generator, untrained.

    Raises:
        RedactError: A file is missing or damaged, or the weights do not fit the configuration.
    """
    with refusing(folder, what, f"{CONFIG} and {WEIGHTS}"):
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        check(folder, config)
        conditioner, generator = build(config)
        load_parts(folder, conditioner=conditioner, generator=generator)
        return Loaded(config, conditioner, generator)


def load_parts(folder: Path, **parts: nn.Module) -> None:
    """Give ``parts`` their tensors of the folder's weights, in float32, and put them into evaluation mode."""
    state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    for name, part in parts.items():
        part.load_state_dict(below(state, f"{name}."))
        part.eval()


def write_parts(folder: Path, config: Mapping[str, Any], base: Path | None, **parts: nn.Module) -> None:
    """Write a model of ``parts`` into the existing ``folder``, in the number format of ``base``, else in float16.

    What did not move keeps its bits; the configuration is copied where it is the base's.
    """
    if base is not None and json.loads((base / CONFIG).read_text(encoding="utf-8")) == config:
        shutil.copyfile(base / CONFIG, folder / CONFIG)
    else:
        (folder / CONFIG).write_text(json.dumps(config, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    dtype = torch.float16 if base is None else _dtype(base / WEIGHTS)
    tensors = {
        f"{part}.{name}": in_dtype(name, value, dtype).contiguous()
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    if (
        base is not None
        and set(names_in(base / WEIGHTS)) == set(tensors)
        and not differs(base / WEIGHTS, tensors)
    ):
        shutil.copyfile(base / WEIGHTS, folder / WEIGHTS)
        return
    save_safe(tensors, folder / WEIGHTS, {"format": "pt"})


def _dtype(path: Path) -> torch.dtype:
    with safe_open(path, "pt") as file:
        return file.get_tensor(next(iter(file.keys()))).dtype
