"""Models of transformers and diffusers whose files fill them: what is missing these draw by chance, with a warning."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redact_core import RedactError
from redact_core.errors import first_line

_COUNTER = "num_batches_tracked"
"""Of a batch norm: a number of training that nobody reads."""


def whole(kind: Any, folder: Path, **options: Any) -> Any:
    """``kind.from_pretrained(folder)``, if the files hold every weight in the shape that the model has.

    Args:
        kind: A model class of transformers or diffusers.
        folder: Of the model.
        options: Of ``from_pretrained``.

    Raises:
        RedactError: The folder cannot be loaded, or weights are missing or of another shape.
    """
    try:
        with _silent():
            model, info = kind.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
        _check_filled(info)
    except RedactError:
        raise
    except Exception as error:  # a configuration that somebody changed leads the constructors anywhere
        reason = first_line(error)
        raise RedactError(
            f"{folder} cannot be loaded as a {kind.__name__} ({reason}); fetch it again."
        ) from error
    return model


def check_whole(kind: Any, folder: Path, **options: Any) -> None:
    """Refuse a folder that :func:`whole` would refuse, without keeping a weight in memory.

    Raises:
        RedactError: See there.
    """
    whole(kind, folder, device_map="meta", **options)


def _check_filled(info: Mapping[str, Any]) -> None:
    """Refuse what ``from_pretrained`` says it has drawn by chance.

    Raises:
        ValueError: Names the first weight.
    """
    absent = sorted(name for name in info["missing_keys"] if not name.endswith(_COUNTER))
    if absent:
        raise ValueError(f"its file does not hold {absent[0]}, {len(absent)} missing in all")
    for name, found, wanted in sorted(info["mismatched_keys"], key=lambda entry: entry[0]):
        raise ValueError(f"{name} has the shape {tuple(found)} in its file, {tuple(wanted)} in the model")


@contextmanager
def _silent() -> Generator[None]:
    """Without the libraries' bars and reports: one line will say what is wrong."""
    from transformers.utils import logging as of_transformers

    loggers = [logging.getLogger(name) for name in ("transformers", "diffusers")]
    shown, levels = of_transformers.is_progress_bar_enabled(), [logger.level for logger in loggers]
    of_transformers.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            of_transformers.enable_progress_bar()
