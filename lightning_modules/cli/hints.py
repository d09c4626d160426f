"""What was probably meant by a mistyped option; every verb says it in the same way."""

from __future__ import annotations

import difflib
import re
from argparse import ArgumentParser
from collections.abc import Collection, Iterable
from typing import NoReturn

from redact_core import RedactError

_ALIKE = 0.75
_WRONG = re.compile(
    r"(?:[Uu]nrecognized arguments?:|does not accept option|Option) '?(?P<name>--?[\w.+-]+|[\w.+-]+)"
)
"""How argparse, and jsonargparse for the command line and for configs, begin to say that there is no such option."""

_MISSING = re.compile(r"the following arguments are required: (?P<names>.*)")
"""jsonargparse names options without their dashes."""


def nearest(token: str, options: Iterable[str]) -> str | None:
    """The option that is spelled most like ``token``; ``None`` where none is near."""
    name, known = token.partition("=")[0], set(options)
    # the last part alone: --max_steps for --trainer.max_steps
    last = {option.rpartition(".")[2].lstrip("-"): option for option in sorted(known, reverse=True)}
    if name.lstrip("-") in last:
        return last[name.lstrip("-")]
    found = difflib.get_close_matches(name, sorted(known), 1, _ALIKE)
    if not found:
        own = name.lstrip("-").rpartition(".")[2]
        found = [last[one] for one in difflib.get_close_matches(own, last, 1, _ALIKE)]
    return found[0] if found else None


def with_hint(message: str, options: Collection[str]) -> str:
    """``message`` of a parser, with the option that was probably meant.

    Args:
        message: Names the wrong option.
        options: All that there are.
    """
    wrong = _WRONG.search(message)
    if wrong is None:
        missing = _MISSING.fullmatch(message)
        names = missing["names"].split(", ") if missing else []
        named = ", ".join(f"--{name}" if f"--{name}" in options else name for name in names)
        return f"{message[: missing.start('names')]}{named}" if missing else message
    token = wrong["name"] if wrong["name"].startswith("-") else f"--{wrong['name']}"
    near = nearest(token, options)
    if near and near != token:
        return f"{message.rstrip('. ')}; did you mean {near}?"
    if message.startswith("unrecognized arguments:") and token != wrong["name"]:
        return f"{message.rstrip('. ')}; an option takes one value: repeat it for another, or write [one, another]"
    return message


class Parser(ArgumentParser):
    """Of verbs with few options, which need no other library: a mistake is an error of ours, with a hint."""

    def __init__(self, verb: str, description: str):
        super().__init__(prog=f"redact {verb}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise what ``argparse`` would print.

        Raises:
            RedactError: Always.
        """
        said = with_hint(message, self._option_string_actions)
        raise RedactError(f"{said[:1].upper()}{said[1:]}; see {self.prog} --help.")
