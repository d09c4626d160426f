"""The versions of libraries that are installed."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from redact_core.version import __version__


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Of redact, Python and those of ``libraries`` that are installed."""
    found = {"redact": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
