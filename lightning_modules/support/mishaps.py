"""Errors of other libraries that an option, the machine or a file causes, as the one line that users see."""

from __future__ import annotations

import errno
import signal
from argparse import ArgumentError
from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lightning_modules.support.parser_words import parser_says
from redact_core import RedactError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reason(error: BaseException) -> str:
    """What happened, on one line and at most 300 characters."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    lines = [line.strip().removeprefix("- ") for line in str(error).splitlines() if line.strip(" -")]
    text = " ".join(lines) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


@contextmanager
def parsing(hint: Callable[[str], str] = str) -> Generator[None]:
    """Around the parser: a mistake in an option or a config becomes one line, with nothing about usage.

    Args:
        hint: What the parser says -> the same with what was probably meant.

    Raises:
        RedactError: The parser refuses what it was given.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise RedactError("A config file is no UTF-8 text; give a YAML file.") from error
    except RecursionError as error:  # YAML can name a part of itself, or nest a thousand times
        raise RedactError(
            "A config or an option holds itself, or is nested too deeply; write it out."
        ) from error
    except ArgumentError as error:
        said = parser_says(error)
        if said.startswith("Unexpected config:"):
            raise RedactError(
                "A config file holds no options by name, such as model: and data:; --print_config prints one to start from."
            ) from error
        raise _own(error) or RedactError(f"{hint(said)}; see --help.") from error


@contextmanager
def building(what: str = "") -> Generator[None]:
    """Around the constructors that a config names: a missing package or device, or options that contradict.

    Args:
        what: Begins the message; where it is given, every refusal counts as one of the options.

    Raises:
        RedactError: See above.
    """
    try:
        yield
    except (ValueError, TypeError, RuntimeError, ImportError, OSError, MisconfigurationException) as error:
        own, inner = _own(error), _innermost(error)
        if own is not None:
            raise own from error
        if what or isinstance(inner, ImportError | MisconfigurationException):
            raise RedactError(f"{what}{reason(inner)}") from error
        raise


@contextmanager
def training() -> Generator[None]:
    """Around the training: what the machine refuses and what options contradict; faults of ours stay as they are.

    Raises:
        RedactError: See above.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise RedactError(f"The trainer refuses its options: {reason(error)}") from error
    except SystemExit as error:  # Lightning ends the process after a signal, in one case with status 0
        name = "SIGTERM" if isinstance(error, SIGTERMException) else "SIGINT"
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise RedactError(
            f"Stopped by a signal ({name}) before the training was done, so nothing was exported; go on from its "
            "last checkpoint, if there is one, with --ckpt_path last."
        ) from error
    except torch.OutOfMemoryError as error:
        raise RedactError(
            f"The memory of the accelerator does not suffice ({reason(error)}); give a smaller --data.batch_size."
        ) from error
    except MemoryError as error:
        raise RedactError("The memory does not suffice; give a smaller --data.batch_size.") from error
    except ImportError as error:
        raise RedactError(f"A package is missing: {reason(error)}") from error
    except OSError as error:
        what = "The disk is full" if error.errno in _FULL else "A file cannot be read or written"
        raise RedactError(
            f"{what}: {reason(error)}. Nothing was exported; mend that and run again."
        ) from error
    except RuntimeError as error:
        if "returned nan values" in str(error):  # detect_anomaly
            raise RedactError(
                f"The training diverged: {reason(error)} Give a lower learning rate (--model.lr)."
            ) from error
        if "PytorchStreamWriter" in str(error) or "inline_container" in str(error):
            raise RedactError(
                f"A checkpoint cannot be written, probably because the disk is full ({reason(error)}). "
                "Nothing was exported; free space and run again."
            ) from error
        raise


def _own(error: BaseException | None) -> RedactError | None:
    """The error of ours that another library has wrapped."""
    while error is not None and not isinstance(error, RedactError):
        error = error.__cause__ or error.__context__
    return error


def _innermost(error: BaseException) -> BaseException:
    """The reason that lies deepest: what stands around it only says by which ways it came."""
    seen: set[int] = set()
    while (inner := error.__cause__ or error.__context__) is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    return error
