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
        SystemExit: With status 2, after a ``RedactError``.
    """
    try:
        yield
    except RedactError as error:
        print(f"{Path(sys.argv[0]).stem}: {printable(str(error))}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from error
