"""What makes two trainings the same one, so that a checkpoint of one is never taken for another's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from redact_core.adapters.base import Adapter
from redact_core.adapters.fingerprint import class_name, settings_of
from redact_core.errors import RedactError
from redact_core.objectives.base import Objective
from redact_core.support.folders import sha256
from redact_core.types import Condition, Lesson, Mean

_DIGEST = "sha256:"
_NOT_SETTINGS = {"training", "solved"}
_NOTED = {f"adapter.{name}" for name in Adapter.noted}
"""In checkpoints of earlier versions, which took what a model had noted of a request for settings."""
_MISSING = "nothing"


def run_identity(
    adapter: Adapter,
    objective: Objective,
    base: str,
    trained: Sequence[str],
    lessons: Sequence[Lesson],
    **settings: float,
) -> dict[str, Any]:
    """Everything that a training's result depends on, by name; what could tell a secret as SHA-256.

    Args:
        adapter: The model.
        objective: The method, before it has seen the lessons.
        base: SHA-256 of the untouched weights of what is trained; see :func:`~.fingerprint.weights_digest`.
        trained: Names of the parameters that are trained.
        lessons: All rows.
        settings: More of them, such as the seed.
    """
    gone = [row for row in lessons if row.redacted]
    return {
        "what is redacted": _digest(f"{_text(row.asked)} {row.weight}" for row in gone),
        "references": _digest(_text(row.answer) for row in gone),
        "what is retained": _digest(
            f"{_text(row.asked)} {_text(row.answer)} {row.weight}" for row in lessons if not row.redacted
        ),
        "base": _DIGEST + base,
        "trained weights": _digest(trained),
        "adapter": {"class": class_name(adapter)} | _plain(settings_of(adapter)),
        "objective": _described(objective),
        **settings,
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of what differs between two results of :func:`run_identity`, with the values where these are plain."""
    old, new = _flat(then), _flat(now)
    found: list[str] = []
    for name in dict.fromkeys(name for name in (*new, *old) if name not in _NOTED):
        a, b = old.get(name, _MISSING), new.get(name, _MISSING)
        if a != b:
            hidden = str(a).startswith(_DIGEST) or str(b).startswith(_DIGEST)
            found.append(name if hidden else f"{name} ({a} there, {b} here)")
    return found


def check_same(checkpoint: Mapping[str, Any] | None, now: Mapping[str, Any], what: str) -> None:
    """Refuse a checkpoint of another training.

    Args:
        checkpoint: Of :func:`run_identity`, as it was kept; ``None``: the file holds none.
        now: The same of this training.
        what: The checkpoint, for the message.

    Raises:
        RedactError: They differ; the message names everything that does.
    """
    if checkpoint is None:
        raise RedactError(
            f"{what} is no checkpoint of redact; give one that redact fit wrote, or start anew."
        )
    found = differences(checkpoint, now)
    if found:
        raise RedactError(
            f"{what} belongs to another training, with other: {', '.join(found)}. Give what that one was "
            "given, or start anew without the checkpoint."
        )


def _described(objective: Objective) -> dict[str, Any]:
    """Class and public settings of a method and of those that it is made of."""
    own = {k: v for k, v in vars(objective).items() if not k.startswith("_") and k not in _NOT_SETTINGS}
    described: dict[str, Any] = {"class": f"{type(objective).__module__}.{type(objective).__qualname__}"}
    described |= _plain(own)
    for name, part in objective.named_children():
        if isinstance(part, Objective):
            described[name] = _described(part)
    return described


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as they are, texts, paths and lists as digests, for they may tell what is redacted."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if name in _NOT_SETTINGS:
            continue
        if value is None or isinstance(value, bool | int | float):
            plain[name] = value
        elif isinstance(value, str | Path):
            plain[name] = _digest([str(value)])
        elif isinstance(value, list | tuple) and all(isinstance(x, str | Path | int | float) for x in value):
            plain[name] = _digest(map(str, value))
    return plain


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {before + name: value}
    return flat


def _digest(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return _DIGEST + digest.hexdigest()


def _text(condition: Condition | Mean) -> str:
    """A prompt as it is, a clip by what it holds: it may lie elsewhere now."""
    if isinstance(condition, Mean):
        return "mean " + " ".join(map(_text, condition.conditions))
    if isinstance(condition, Path) and condition.is_file():
        return sha256(condition)
    return str(condition)
