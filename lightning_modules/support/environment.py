"""What both commands need of their surroundings: quiet libraries, and the versions that are installed."""

from __future__ import annotations

import logging
import platform
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from redact_core import __version__


def quiet() -> None:
    """Hide what is meant to be so: rows in memory need no workers, students train in evaluation mode."""
    for message in (".*does not have many workers.*", ".*tensorboardX.*", ".*in eval mode.*", ".*LeafSpec.*"):
        warnings.filterwarnings("ignore", message)
    # advertisements and "TPU available: False" are not worth a newcomer's attention
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not any(word in record.getMessage() for word in ("Tip", "available:"))
    )


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Of redact, Python and those of ``libraries`` that are installed."""
    found = {"redact": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
