"""What a disturbed run left, and what the command that goes on makes of it, beside a run that nobody disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forked import result, run, tree
from tally import Tally
from verbs import Verb


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nobody disturbs."""

    files: dict[str, str]
    """Of :func:`forked.result`."""
    beside: set[str]
    """Of :func:`forked.tree`, of the folder that the target lies in."""


def aftermath(tally: Tally, name: str, verb: Verb, out: Path, wanted: Undisturbed, log: Path) -> None:
    """Count in ``tally`` what the run ``name`` of ``verb`` left at ``out``; go on, and compare with ``wanted``.

    Nothing but the target lies in the folder of ``out``.
    """
    if not verb.sound(out):
        tally.half_written += 1
        tally.note(f"{name}: half written: {sorted(tree(out))}")
    more = verb.go_on(out)
    last = run([*verb.arguments(out), *more], log) if more is not None else None
    found = result(out)
    if last is not None and last.status:
        tally.failed += 1
        tally.note(f"{name}: cannot go on: {last.errors[-300:]}")
    elif found != wanted.files:
        tally.different += 1
        tally.note(f"{name}: differs in {sorted(set(found.items()) ^ set(wanted.files.items()))[:4]}")
    elif stray := tree(out.parent) - wanted.beside - _named(more, out):
        tally.left_behind += 1
        tally.note(f"{name}: left behind {sorted(stray)[:4]}")


def _named(more: Sequence[str] | None, out: Path) -> set[str]:
    """The checkpoint that a command went on from: whoever names a file keeps it."""
    files = [Path(text) for text in more or () if text.endswith(".ckpt")]
    return {path.relative_to(out.parent).as_posix() for path in files}
