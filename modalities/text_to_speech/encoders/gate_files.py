"""Gates as files: plain tensors, and TorchScript for whoever has no redact."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from modalities.text_to_speech.gate_names import SCRIPT, TENSORS, of_path
from modalities.weight_files import refusing
from redact_core.gates import Gate, GatedEncoder, gate_like


def write_gates(gates: Sequence[Gate], folder: Path, path: str = "") -> None:
    """:data:`TENSORS` for :func:`read_gates`, and :data:`SCRIPT`, ``(batch, 1, dim)`` to the same, for ``torch.jit.load``.

    Args:
        gates: In their order.
        folder: Where to.
        path: Which of several parallel paths they belong to: it becomes a part of the files' names.
    """
    tensors = {
        f"{number}.{name}": value.detach().cpu().contiguous()
        for number, gate in enumerate(gates)
        for name, value in gate.state_dict().items()
    }
    save_file(tensors, folder / of_path(TENSORS, path), metadata={"format": "pt"})
    row = nn.Sequential(*gates).cpu().eval()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # its successor is not read by the torch of Resemblyzer's time
        script: Any = torch.jit.trace(row, torch.randn(2, 1, len(gates[0].answer)), check_trace=False)
        script.save(str(folder / of_path(SCRIPT, path)))


def read_gates(folder: Path, path: str = "") -> list[Gate]:
    """The gates of ``folder``, or of one of several ``path``, in their order; none where there is no file of them."""
    file = folder / of_path(TENSORS, path)
    if not file.is_file():
        return []
    with refusing(folder, "gates", f"{file.name} as redact writes it"):
        tensors = load_file(file)
        count = 1 + max(int(name.partition(".")[0]) for name in tensors)
        return [
            gate_like({n.partition(".")[2]: v for n, v in tensors.items() if n.startswith(f"{k}.")})
            for k in range(count)
        ]


def bare_and_gates(encoder: nn.Module) -> tuple[nn.Module, list[Gate]]:
    """The encoder without its gates, and these."""
    if not isinstance(encoder, GatedEncoder):
        return encoder, []
    return encoder.encoder, [gate for gate in encoder.gates if isinstance(gate, Gate)]
