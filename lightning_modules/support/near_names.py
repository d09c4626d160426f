"""What was probably meant by a name that is not there, and which classes an option takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lightning_modules.support.catalogue import HEADINGS, entries

_ALIKE = 0.75
"""Likeness from which a name was probably meant: of hundreds of classes some are always a little alike."""
_TAKES = {
    "objective": "objective", "start": "objective", "adapter": "adapter", "base": "adapter", "attacks": "attack",
    "guards": "guard", "scorers": "scorer", "set_scorers": "setscorer", "test_bed": "plansource", "success": "scorer",
    "then": "attack", "first": "attack",
}  # fmt: skip
"""Last part of an option -> the kind of class that it takes."""


def meant(word: str, known: Iterable[str]) -> str:
    """``, did you mean WORD`` for the word of ``known`` that is spelled most like ``word``; empty where none is near."""
    small = {one.lower(): one for one in known}
    found = difflib.get_close_matches(word.lower(), list(small), 1, _ALIKE)
    return f", did you mean {small[found[0]]}" if found and small[found[0]] != word else ""


def names_of(kind: str) -> list[str]:
    """Names of all classes of a kind."""
    return [entry.name for entry in entries() if entry.kind == kind]


def no_class(name: str, option: str, reason: str = "", wanted: str = "") -> str:
    """A sentence about a class that an option does not take: what was given, what is wanted, and the nearest name.

    Args:
        name: Bare, or with its modules.
        option: Such as ``--model.objective``; empty where the class was named in no option.
        reason: Why it cannot be had, if that is known.
        wanted: Name of the class from which it should descend, if that is known.
    """
    bare = name.rpartition(".")[2]
    kind = wanted.lower() if wanted.lower() in HEADINGS else _TAKES.get(option.rpartition(".")[2].lstrip("-"))
    found = list(entries())
    kinds = {entry.kind for entry in found if entry.name == bare}
    if kind is None and kinds:
        return f"{option}: {name} is {_a(min(kinds))}, which it does not take".removeprefix(": ")
    if kind is None:
        why = f" ({reason})" if reason else ""
        return f"{option}: there is no class {name}{why}; write its whole path, package.module.Class".removeprefix(
            ": "
        )
    wanted = f"{f'{option} takes' if option else 'wanted is'} {_a(kind)}, and redact ls {kind}s lists them"
    if kind in kinds:
        return f"{name} cannot be imported{f' ({reason})' if reason else ''}; {wanted}"
    if kinds:
        return f"{name} is {_a(min(kinds))}; {wanted}"
    near = meant(bare, [entry.name for entry in found if entry.kind == kind])
    return f"There is no {kind} {name}{near}; {wanted}"


def _a(kind: str) -> str:
    """The kind with its article."""
    assert kind in HEADINGS
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"
