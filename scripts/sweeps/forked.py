"""The command line in forked processes: one warm start, any number of runs that may be killed or starved."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

sys.path[:0] = [
    str(Path(__file__).parents[2] / "tests"),
    str(Path(__file__).parents[2] / "tests" / "support"),
]

DATED = ("redaction.json", "README.md", "config.yaml", "report.html", "report.json", "evidence.json")
"""Files that hold the date, seconds, or the name of their own folder: not compared bit by bit."""
PASSING = (".lock", "commands.jsonl", "costs.json", "models.json")


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: int
    """Exit status; minus the signal's number where it was killed."""
    seconds: float
    errors: str
    """What it wrote to standard error."""


def warm_up() -> None:
    """Import everything that the runs need, once; a fork then starts at once."""
    import modalities.text_to_image
    import modalities.text_to_speech  # noqa: F401


def run(
    arguments: Sequence[object],
    log: Path,
    *,
    kill_after: float | None = None,
    before: Callable[[], None] | None = None,
    limit: float = 120.0,
) -> Outcome:
    """``redact ARGUMENTS`` in a fork.

    Args:
        arguments: Of the command, the verb first.
        log: File that takes what the run writes to standard output and standard error.
        kill_after: Seconds after which the run gets SIGKILL; ``None``: never.
        before: Called in the fork before the command, e.g. to plant a fault.
        limit: Seconds after which a run that hangs is killed; its status is then ``-SIGALRM``.
    """
    # a pipe, not a file: a limit on the size of files must not cut off what the run says
    source, sink = os.pipe()
    fork = multiprocessing.get_context("fork").Process(
        target=_command, args=(list(map(str, arguments)), sink, before)
    )
    began = time.monotonic()
    fork.start()
    os.close(sink)
    said: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(source, said))
    reader.start()
    fork.join(limit if kill_after is None else kill_after)
    hung = fork.is_alive() and kill_after is None
    if fork.is_alive() and fork.pid is not None:
        os.kill(fork.pid, signal.SIGKILL)
    fork.join()
    reader.join()
    log.write_bytes(b"".join(said))
    status = -signal.SIGALRM if hung else fork.exitcode
    errors = log.read_text(encoding="utf-8", errors="replace")
    return Outcome(int(status or 0), time.monotonic() - began, errors)


def _drain(source: int, said: list[bytes]) -> None:
    with open(source, "rb") as file:
        said.extend(iter(lambda: file.read1(65536), b""))


def _command(arguments: list[str], sink: int, before: Callable[[], None] | None) -> None:
    import torch

    from lightning_modules.cli.main import main

    torch.set_num_threads(1)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    # whoever called may have put something else in their place, as a test runner does
    sys.stdout, sys.stderr = (open(end, "w", encoding="utf-8", buffering=1) for end in (1, 2))  # noqa: PTH123, SIM115
    if before is not None:
        before()
    with mock.patch("sys.argv", ["redact", *arguments]):
        status = 0
        try:
            status = main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
            status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def result(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every file that the same command must write bit by bit; empty if there is none."""
    from redact_core.support.folders import hashes

    if not folder.is_dir():
        return {}
    own = {n: h for n, h in hashes(folder).items() if n.rpartition("/")[2] not in DATED + PASSING}
    for name in own:
        if name.startswith("attempts/") and name.endswith(".jsonl"):
            rows = [json.loads(text) for text in (folder / name).read_text(encoding="utf-8").splitlines()]
            own[name] = json.dumps(
                [{k: v for k, v in row.items() if k != "seconds"} for row in rows], allow_nan=False
            )
    return own


def tree(folder: Path) -> set[str]:
    """Every path below ``folder``."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
