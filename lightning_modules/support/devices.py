"""Which device a command computes on, and in which precisions models run."""

from __future__ import annotations

import torch

from redact_core import RedactError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Of ``trainer.precision``; the others turn weights to half or double precision, which is saved and read by nobody."""
_ALIASES = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed", "none": "32-true"}
DEVICE_HELP = "auto, cpu, cuda or cuda:N; auto is the GPU where there is one."


def checked_precision(given: object) -> str:
    """``given`` by its full name, if models can be trained and sampled in it.

    Raises:
        RedactError: They cannot.
    """
    name = str(given).lower()
    name = _ALIASES.get(name, name)
    if name not in PRECISIONS:
        raise RedactError(f"trainer.precision is {given}; give one of {', '.join(PRECISIONS)}.")
    return name


def chosen_device(given: str | None) -> torch.device:
    """The device that ``--device`` names.

    Raises:
        RedactError: It names none, or a GPU that is not there.
    """
    name, there = given or "auto", torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdecimal())):
        raise RedactError(f"--device is {given}; give auto, cpu, cuda or cuda:N.")
    if kind == "cuda" and int(number or 0) >= there:
        raise RedactError(
            f"--device is {given}, and torch sees {there or 'no'} GPU{'s' if there > 1 else ''}; give cpu or auto."
        )
    return torch.device(name)
