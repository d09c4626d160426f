"""Scripts show a mistake as the commands do: in one line, with status 2."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lightning_modules.support.output import printable
from redact_core.errors import RedactError


@contextmanager
def one_line() -> Generator[None]:
    """Around the main function of a script: a mistake of the user's is printed without a traceback.

    Raises:
        SystemExit: With status 2, after a ``RedactError``, or where a file is missing or cannot be read or written.
    """
    try:
        yield
    except RedactError as error:
        raise _ended(str(error)) from error
    except OSError as error:
        if error.filename is None:
            raise
        said = f"{error.filename}: {error.strerror}; give another path, or mend that and run again."
        raise _ended(said) from error


def _ended(text: str) -> SystemExit:
    print(f"{Path(sys.argv[0]).stem}: {printable(text)}", file=sys.stderr)  # noqa: T201
    return SystemExit(2)
