"""``redact card`` and ``redact ls``: what a folder says of itself, and what a config can name."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

from lightning_modules.cli.hints import Parser
from lightning_modules.support.catalogue import HEADINGS, entries, methods_of
from lightning_modules.support.near_names import meant
from lightning_modules.support.output import printable
from redact_core import RedactError, RedactionCard
from redact_core.support.paths import at_home

_ALSO = {"method": "objective", "model": "adapter", "metric": "scorer", "judge": "scorer"}
"""Words of the documentation for what a config calls otherwise."""


def card(arguments: Sequence[str]) -> None:
    """Show the card of a folder and compare every hash with the files.

    Raises:
        RedactError: There is no card, or a file is not what the card says.
    """
    parser = Parser("card", "Show the card of a redacted folder, and compare every file with its hash.")
    card_options(parser)
    folder = at_home(parser.parse_args(list(arguments)).folder)
    read = RedactionCard.read(folder)
    problems = read.verify(folder)
    print(printable(read.markdown()))  # noqa: T201
    if problems:
        raise RedactError(f"{folder} does not match its card: " + "; ".join(problems))
    print(f"All {len(read.files)} files match the card.")  # noqa: T201


def card_options(parser: ArgumentParser) -> None:
    """Of ``redact card``."""
    parser.add_argument("folder", help="Folder that redact fit exported.")


def ls(arguments: Sequence[str]) -> None:
    """List what can be named in a config, by kind: all kinds, or those that are named, such as ``attacks``.

    Raises:
        RedactError: There is no such kind.
    """
    parser = Parser("ls", "List by kind what can be named in a config.")
    ls_options(parser)
    given = parser.parse_args(list(arguments)).kind
    wanted = [_ALSO.get(name.lower().rstrip("s"), name.lower().rstrip("s")) for name in given]
    headings = {kind: heading for kind, heading in HEADINGS.items() if not wanted or kind in wanted}
    for name, kind in zip(given, wanted, strict=True):
        if kind not in HEADINGS:
            known = [f"{one}s" for one in HEADINGS]
            raise RedactError(
                f"There is no kind {name!r} to list{meant(name.lower(), known)}; the kinds are {', '.join(known)}."
            )
    found = list(entries())
    for kind, heading in headings.items():
        print(f"{heading}\n")  # noqa: T201
        for entry in found:
            if entry.kind == kind:
                said = (
                    f"not available (No module named {entry.missing!r})" if entry.missing else entry.summary
                )
                print(f"  {entry.name:26} {said}\n{'':29} {entry.module}")  # noqa: T201
                if entry.kind == "adapter":
                    print(f"{'':29} methods: {', '.join(methods_of(entry, found))}")  # noqa: T201
                elif entry.needs:
                    print(f"{'':29} needs: {', '.join(entry.needs)}")  # noqa: T201
        print()  # noqa: T201


def ls_options(parser: ArgumentParser) -> None:
    """Of ``redact ls``."""
    known = ", ".join(f"{kind}s" for kind in HEADINGS)
    parser.add_argument("kind", nargs="*", help=f"Of {known}; default: all.")
