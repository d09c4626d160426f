"""What the commands need of their surroundings: quiet libraries."""

from __future__ import annotations

import logging
import warnings


def quiet() -> None:
    """Hide what is meant to be so: rows in memory need no workers, students train in evaluation mode."""
    for message in (".*does not have many workers.*", ".*tensorboardX.*", ".*in eval mode.*", ".*LeafSpec.*"):
        warnings.filterwarnings("ignore", message)
    # advertisements and "TPU available: False" are not worth a newcomer's attention
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not any(word in record.getMessage() for word in ("Tip", "available:"))
    )
