"""Which parameters of a generator a method trains."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import nn

from redact_core.errors import RedactError


def expression(text: str) -> re.Pattern[str]:
    """``text`` as a regular expression that names of parameters are searched with.

    Raises:
        RedactError: It is none.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise RedactError(f"parameters is no regular expression ({error}); correct it.") from error


def without_gradients(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that :func:`train_only` left out."""
    return [parameter for parameter in module.parameters() if not parameter.requires_grad]


def train_only(generator: nn.Module, wanted: Callable[[str], object], what: str) -> nn.Module:
    """``generator`` with gradients for the parameters that are ``wanted`` and for no others.

    Raises:
        RedactError: There is no such parameter; ``what`` says in the message what was wanted.
    """
    named = list(generator.named_parameters())
    if not any(wanted(name) for name, _ in named):
        raise RedactError(f"{what}, which no parameter matches; one is called {named[0][0]}.")
    for name, parameter in named:
        parameter.requires_grad_(bool(wanted(name)))
    return generator
