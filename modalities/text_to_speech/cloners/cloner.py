"""The folder of a voice cloner with several encoders: which tensors of which file each of them is."""

from __future__ import annotations

import io
import shutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modalities.text_to_speech.cloners.paths import ParallelPaths
from modalities.text_to_speech.encoders.gate_files import bare_and_gates, read_gates, write_gates
from modalities.text_to_speech.encoders.stored_encoder import StoredEncoder, behind, is_ours
from modalities.weight_files import SAFE, in_dtype, save_safe
from redact_core import RedactError
from redact_core.errors import first_line
from redact_core.gates import Gate
from redact_core.support.folders import files_below

_WEIGHTS = {".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".onnx", ".gguf"}


@dataclass(frozen=True)
class Place:
    """Where the tensors of a path lie."""

    file: str
    """Name in the folder."""
    prefix: str
    """Of the tensors' names."""
    inside: tuple[str, ...] = ()
    """Keys of the dictionaries around them, in a file of PyTorch's own format."""


class Cloner(StoredEncoder):
    """The paths of one model. Weights that were trained go where the model's own code reads them.

    Its code has no place for gates. They lie in ``voice_gates.PATH.pt``, one for each path, TorchScript that what the path
    gives ``(batch, 1, dim)`` is put through.
    """

    def __init__(self, folder: Path):
        super().__init__(folder)
        self._opened: dict[str, Any] = {}

    @property
    def files(self) -> Mapping[str, Path]:
        """With everything beside and below: the models around the encoders need it in its place."""
        return files_below(self.folder)

    @abstractmethod
    def places(self) -> dict[str, Place]:
        """Path -> its tensors.

        Raises:
            RedactError: The folder is not complete.
        """

    @abstractmethod
    def build(self, path: str, state: Mapping[str, Tensor]) -> nn.Module:
        """The encoder of ``path``, whose own state is named like ``state``; what that holds besides is left alone."""

    def load(self) -> nn.Module:
        parts: dict[str, nn.Module] = {}
        for path, place in self.places().items():
            try:
                state = _state(self.values(place.file), place)
                module = self.build(path, {n: value.float() for n, value in state.items()}).eval()
                own = {name: state[name] for name in module.state_dict()}
                module.load_state_dict(own)
            except (KeyError, TypeError, RuntimeError, IndexError, ValueError, AttributeError) as error:
                if isinstance(error, RedactError):
                    raise
                raise RedactError(
                    f"{self.folder / place.file} holds no {place.prefix.rstrip('.') or 'encoder'} of {self.kind} "
                    f"({first_line(error)}); fetch it again."
                ) from error
            parts[path] = behind(module.float().eval(), read_gates(self.folder, path))
        self._opened.clear()
        return ParallelPaths(parts, self.rate).eval()

    def save(self, bare: nn.Module, gates: Sequence[Gate], target: Path) -> None:
        assert isinstance(bare, ParallelPaths)
        assert not gates  # they stand behind each path
        split = {path: bare_and_gates(part) for path, part in bare.parts.items()}
        written: dict[str, dict[Place, Mapping[str, Tensor]]] = {}
        for path, place in self.places().items():
            written.setdefault(place.file, {})[place] = split[path][0].state_dict()
        changed = [file for file, parts in written.items() if self._write(file, parts, target)]
        stems = {Path(file).stem for file in changed}
        for name, path in self.files.items():
            copy = path.suffix in _WEIGHTS and path.stem in stems and path.parent == self.folder
            if (
                name not in written and not is_ours(path.name) and not copy
            ):  # a copy of changed weights is the stock encoder
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / name)
        for path, (_, behind_it) in split.items():
            if behind_it:
                write_gates(behind_it, target, path)
        self._opened.clear()

    def values(self, file: str) -> Any:
        """What a file holds, read once while a folder is loaded or saved: checkpoints are large."""
        if file not in self._opened:
            if not (self.folder / file).is_file():
                raise RedactError(
                    f"{self.folder / file} is missing; the folder is not complete, fetch it again."
                )
            self._opened[file] = self.opened(file)
        return self._opened[file]

    @abstractmethod
    def opened(self, file: str) -> Any:
        """What a file holds, as plain tensors and containers.

        Raises:
            RedactError: It holds something else.
        """

    def _write(self, file: str, parts: Mapping[Place, Mapping[str, Tensor]], target: Path) -> bool:
        """Write a file with the tensors of ``parts`` in place of its own; bit by bit where they are the same."""
        values = self.values(file)
        same = True
        for place, state in parts.items():
            stock = _inner(values, place)
            new = {
                place.prefix + name: in_dtype(name, value, stock[place.prefix + name].dtype)
                for name, value in state.items()
            }
            same = same and all(torch.equal(value, stock[name]) for name, value in new.items())
            values = _put(values, place.inside, {**stock, **new})
        if same:
            shutil.copyfile(self.folder / file, target / file)
        elif file.endswith(SAFE):
            save_safe(
                {name: value.contiguous() for name, value in values.items()}, target / file, {"format": "pt"}
            )
        else:
            stream = io.BytesIO()
            torch.save(values, stream)  # the format that the model's own code reads
            (target / file).write_bytes(stream.getbuffer())
        return not same


def _inner(values: Any, place: Place) -> Mapping[str, Tensor]:
    for key in place.inside:
        values = values[key]
    return values


def _state(values: Any, place: Place) -> dict[str, Tensor]:
    found = {
        name.removeprefix(place.prefix): value
        for name, value in _inner(values, place).items()
        if name.startswith(place.prefix)
    }
    if not found:
        raise KeyError(f"no tensor is called {place.prefix}...")
    return found


def _put(values: Any, inside: tuple[str, ...], new: Mapping[str, Tensor]) -> Any:
    """``values`` with ``new`` in place of what lies ``inside``."""
    if not inside:
        return new
    return {**values, inside[0]: _put(values[inside[0]], inside[1:], new)}
