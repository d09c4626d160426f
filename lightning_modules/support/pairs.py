"""Arguments of scripts that name what they give: ``NAME=PATH``."""

from __future__ import annotations

from collections.abc import Sequence

from redact_core.errors import RedactError


def paired(given: Sequence[str], form: str = "NAME=PATH") -> dict[str, str]:
    """Name -> what stands behind the first ``=``, in order.

    >>> paired(["one=out/one", "two=out/two"])
    {'one': 'out/one', 'two': 'out/two'}

    Args:
        given: As it was typed.
        form: What is wanted, for the message.

    Raises:
        RedactError: An argument has no name, or nothing behind it, or two have the same name.
    """
    found: dict[str, str] = {}
    for pair in given:
        name, _, value = pair.partition("=")
        if not name or not value:
            raise RedactError(f"{pair!r} is no {form}; give both with = between them.")
        if name in found:
            raise RedactError(f"Two are called {name}; give another name.")
        found[name] = value
    return found
