"""The weights of a part of a model as they lie in its folder: one file, or several with an index."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from modalities.weight_files import SAFE, differs, names_in, write_like
from redact_core import RedactError

_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack"}
_ADAPTER = "adapter_model.safetensors"


@dataclass(frozen=True)
class Stock:
    """Where the untouched weights of a part are."""

    files: tuple[Path, ...]
    """One, or the shards that the index names."""
    index: Path | None = None
    """Says which tensor is in which shard."""
    variant: str | None = None
    """Of the file names; ``None`` also where another part alone has the wanted one."""

    def differs(self, state: Mapping[str, Tensor]) -> bool:
        """Is any tensor of ``state`` another one than the stock's, in its dtype?"""
        return any(differs(path, state) for path in self.files)

    def write(self, folder: Path, state: Mapping[str, Tensor], kind: str, prefix: str = "") -> None:
        """Write ``state`` under the names, dtypes and shards of the stock; files without a change are copied.

        Args:
            folder: Existing or not.
            state: Of the changed model.
            kind: Its class, for messages.
            prefix: That older versions of the library put before every name.

        Raises:
            RedactError: ``state`` has a tensor that the stock does not hold, or one that is not finite.
        """
        folder.mkdir(parents=True, exist_ok=True)
        held = [set(names_in(path)) for path in self.files]
        named = {
            prefix + name if any(prefix + name in own for own in held) else name: state[name]
            for name in state
        }
        missing = sorted(name for name in named if not any(name in own for own in held))
        if missing:
            raise RedactError(
                f"{self.files[0]} does not hold {missing[0]}; its key names are not those of a {kind}."
            )
        for path, own in zip(self.files, held, strict=True):
            part = {name: value for name, value in named.items() if name in own}
            write_like(path, folder / path.name, part, kind)
        if self.index is not None:
            shutil.copyfile(self.index, folder / self.index.name)


def find(folder: Path, stem: str = "model", variant: str | None = None) -> Stock:
    """The safetensors weights of a part, in the ``variant`` if it has that, else without, as diffusers does it.

    Args:
        folder: Of the part.
        stem: Of the file names: transformers says ``model``, diffusers ``diffusion_pytorch_model``.
        variant: As in ``model.fp16.safetensors``.

    Raises:
        RedactError: There are none (pickles are named and refused), or a file is missing or damaged.
    """
    if not folder.is_dir():
        raise RedactError(f"{folder} is missing; the folder is not complete, fetch it again.")
    for tried in dict.fromkeys((variant, None)):
        ending = f".{tried}" if tried else ""
        single, index = folder / f"{stem}{ending}{SAFE}", folder / f"{stem}{SAFE}.index{ending}.json"
        if single.is_file():
            found = Stock((single,), None, tried)
        elif index.is_file():
            found = Stock(tuple(folder / name for name in _shards(index)), index, tried)
        else:
            continue
        for path in found.files:
            _check(path)
        return found
    raise RedactError(_what_is_there(folder, stem))


def _shards(index: Path) -> list[str]:
    """Names of the files that an index says, each once."""
    try:
        values: Any = json.loads(index.read_text(encoding="utf-8"))
        names = sorted({str(name) for name in values["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RedactError(f"{index} is no index of weight files; fetch the folder again.") from error
    elsewhere = [name for name in names if Path(name).name != name]
    if not names or elsewhere:
        what = f"names {elsewhere[0]}, which is not beside it" if elsewhere else "names no file"
        raise RedactError(f"{index} {what}; fetch the folder again.")
    return names


def _check(path: Path) -> None:
    """The header is read: it tells a file that was cut off, or the text that stands for one in a repository."""
    if not path.is_file():
        raise RedactError(f"{path} is missing; the folder is not complete, fetch it again.")
    try:
        with safe_open(path, "pt"):
            pass
    except (OSError, SafetensorError) as error:
        raise RedactError(f"{path} is no readable safetensors file ({error}); fetch it again.") from error


def _what_is_there(folder: Path, stem: str) -> str:
    """Why nothing was found, and what helps."""
    names = sorted(path.name for path in folder.iterdir())
    safe = [name for name in names if name.endswith(SAFE)]
    for name in names:
        middle = _between(name, f"{stem}.", SAFE) or _between(name, f"{stem}{SAFE}.index.", ".json")
        if middle and name != _ADAPTER:
            # of shards the index tells, and the numbers are no variant
            variant = middle.split("-")[0]
            return f'{folder} holds {stem}{SAFE} only as the variant "{variant}"; set variant to {variant}.'
    if _ADAPTER in safe:
        return (
            f"{folder} holds an adapter ({_ADAPTER}) and not the weights that it belongs to; merge it into the model "
            "(merge_and_unload of PEFT) and save that."
        )
    pickles = [name for name in names if Path(name).suffix in _PICKLES]
    if safe:
        return f"{folder} holds {safe[0]} where {stem}{SAFE} was looked for; fetch it again or rename it."
    if pickles:
        return (
            f"{folder / pickles[0]} is a pickled weight file, which can run code when it is loaded; "
            "convert it to safetensors first (from_pretrained and save_pretrained in a sandbox)."
        )
    return f"{folder} holds no {stem}{SAFE}; the folder is not complete, fetch it again."


def _between(name: str, start: str, end: str) -> str:
    fits = name.startswith(start) and name.endswith(end) and len(name) > len(start) + len(end)
    return name[len(start) : -len(end)] if fits else ""
