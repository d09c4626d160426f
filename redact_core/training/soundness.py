"""What must hold before a model is called redacted: it took steps, and its numbers are finite."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from redact_core.adapters.fingerprint import weights_digest
from redact_core.artefacts.writing import UNCHANGED
from redact_core.errors import RedactError

LITTLE = 0.9
"""A distance that stays above this share of what it was has hardly fallen."""


def check_steps(steps: int) -> None:
    """Refuse a training without steps.

    Raises:
        RedactError: ``steps`` is below 1.
    """
    if steps < 1:
        raise RedactError(f"steps is {steps}; give at least 1, for without a step nothing is redacted.")


def check_rate(rate: float) -> None:
    """Refuse a learning rate that moves nothing, or that is no number.

    Raises:
        RedactError: ``rate`` is not finite or not above 0.
    """
    if not 0 < rate < math.inf:
        raise RedactError(f"The learning rate is {rate}; give a finite number above 0.")


def losses_of(objective: nn.Module, student: nn.Module, batch: object) -> Mapping[str, Tensor]:
    """The terms of one step, of a method that may be anybody's.

    Raises:
        RedactError: They are no mapping of names to numbers, or do not depend on what is trained.
    """
    terms, name = objective(student, batch), type(objective).__name__
    if not isinstance(terms, Mapping) or not terms:
        raise RedactError(
            f"{name} gave {_shown(terms)} for the terms of a step; return a mapping such as {{'redact': loss}} from forward."
        )
    for term, value in terms.items():
        if not isinstance(value, Tensor) or value.ndim:
            raise RedactError(
                f"{name} gave {_shown(value)} for the term {term!r}; give a tensor of one number, such as the mean over the batch."
            )
    if not any(value.requires_grad for value in terms.values()):
        raise RedactError(
            f"No term of {name} ({', '.join(terms)}) depends on a weight that is trained; compute them from student(...), outside "
            "of no_grad."
        )
    return terms


def _shown(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r}"[:60]


def check_terms(terms: Mapping[str, float], step: int, rate: float) -> None:
    """Stop a training that has diverged.

    Args:
        terms: Of the loss.
        step: The number of the step, from 1.
        rate: The peak learning rate, for the message.

    Raises:
        RedactError: A term is not finite.
    """
    for name, value in terms.items():
        if not math.isfinite(value):
            raise RedactError(
                f"The training diverged: in step {step} the loss term {name} is {value}. Nothing of it can be used; "
                f"give a lower learning rate, it is {rate:g}."
            )


def check_weights(module: nn.Module) -> None:
    """Refuse trained weights that are not finite; buffers may be infinite, as masks are, but not NaN.

    Raises:
        RedactError: A weight is not finite; the message names the first.
    """
    name = _not_finite(module)
    if name is not None:
        raise RedactError(
            f"The weight {name} is not finite, so the model cannot be used and nothing was written; "
            "give a lower learning rate."
        )


def check_base(module: nn.Module) -> None:
    """Refuse a base whose weights are not finite; see :func:`check_weights`.

    Raises:
        RedactError: A weight is not finite; the message names the first.
    """
    name = _not_finite(module)
    if name is not None:
        raise RedactError(
            f"The untouched model's weight {name} is not finite (NaN or infinite), so nothing can be learnt from it; "
            "fetch the model again."
        )


def check_changed(student: nn.Module, base: str) -> None:
    """Refuse a student whose weights are those of the base still.

    Args:
        student: What was trained or solved for.
        base: SHA-256 of its untouched weights; see :func:`~redact_core.adapters.fingerprint.weights_digest`.

    Raises:
        RedactError: See above.
    """
    if weights_digest(student) == base:
        raise RedactError(UNCHANGED)


def _not_finite(module: nn.Module) -> str | None:
    for name, value in module.named_parameters():
        if not bool(torch.isfinite(value).all()):
            return name
    for name, value in module.named_buffers():
        if value.is_floating_point() and bool(torch.isnan(value).any()):
            return name
    return None


def check_measures(measures: Mapping[str, float]) -> None:
    """Refuse measures that are not finite.

    Raises:
        RedactError: One is NaN or infinite; the message names it.
    """
    for name, value in measures.items():
        if not math.isfinite(value):
            raise RedactError(
                f'The measure "{name}" is {value}, so the training diverged. Nothing of it can be used; '
                "give a lower learning rate."
            )


def shortfalls(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """Sentences about what is redacted and did not come nearer, or hardly did, and about what is retained and left.

    Args:
        before: Name -> value of the untouched model; the smaller the better.
        after: The same of the redacted one.
    """
    found: list[str] = []
    for name, old in before.items():
        new = after.get(name)
        # of what is retained nothing has to fall
        if new is None or not name.startswith(("redact", "surrogate")) or new < LITTLE * old:
            continue
        how = "did not fall" if new >= old else f"fell by {100 * (1 - new / old):.1f} % only"
        found.append(
            f"The {name} {how}: {old:.4g} before, {new:.4g} after. Take this model as not redacted; train for "
            "more steps or with another learning rate."
        )
    scale, moved = before.get("redact distance", 0.0), after.get("retain distance", 0.0)
    if moved > scale > 0:
        found.append(
            f"What is retained moved by {moved:.4g}, more than what is redacted was from its references "
            f"({scale:.4g}). Take this model as damaged; give a lower learning rate."
        )
    return found
