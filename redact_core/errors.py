"""The one exception that users see: what was given, what was wanted, what to do."""

from collections.abc import Sequence


class RedactError(ValueError):
    """A mistake in what the user asked for or supplied; the message stands alone.

    The command line prints it as one line without a traceback and exits with status 2.
    """


def raise_together(what: str, problems: Sequence[str], limit: int = 20) -> None:
    """Raise one :class:`RedactError` that lists all ``problems``; do nothing if there are none."""
    if not problems:
        return
    shown = list(problems[:limit])
    if len(problems) > limit:
        shown.append(f"... and {len(problems) - limit} more")
    raise RedactError(f"{what}: " + "; ".join(shown))


def first_line(error: BaseException) -> str:
    """The first line of what an error says, for the one line of ours; its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
