"""Seeds that every generator takes, with room for what is added to them."""

from __future__ import annotations

from redact_core.errors import RedactError
from redact_core.support.whole_numbers import check_whole

LARGEST = 2**60
"""Generators take 64 bits; rows, turns and sentences are added to a seed, or multiply it by a few."""


def checked_seed(seed: int) -> int:
    """``seed`` itself.

    Raises:
        RedactError: It is no whole number, or beyond :data:`LARGEST`, above or below.
    """
    check_whole(seed=seed)
    if abs(seed) > LARGEST:
        raise RedactError(f"seed is {seed}; give a whole number of at most {LARGEST}.")
    return seed
