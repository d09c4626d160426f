"""The command line in forked processes: one warm start, any number of runs that may be killed or starved."""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import multiprocessing.process
import os
import signal
import sys
import tempfile
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
_MOVES = 0.05
"""Seconds of processor time that are more than waiting takes."""
PASSING = (".lock", "commands.jsonl")
COSTS = "costs/"
"""Folder of evidence with seconds and bytes of memory."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: int
    """Exit status; minus the signal's number where it was killed."""
    seconds: float
    """Of processor time."""
    errors: str
    """What it wrote to standard error."""


def warm_up(*commands: Callable[[Path], Sequence[object]]) -> None:
    """Import everything that the runs need, once; a fork then starts at once.

    Args:
        commands: Each gives a command, for the empty folder that it is to write to. It runs once, in a fork; what
            that fork imported, this process imports too.
    """
    import modalities.text_to_image
    import modalities.text_to_speech  # noqa: F401

    for command in commands:
        with tempfile.TemporaryDirectory() as folder:
            place, names = Path(folder), Path(folder) / "modules"
            run(
                command(place / "out"),
                place / "log",
                after=lambda to=names: to.write_text("\n".join(sys.modules)),
            )
            for name in names.read_text(encoding="utf-8").split("\n"):
                # modules that cannot be imported by their own name belong to one that was
                if name not in sys.modules and not name.startswith("__"):
                    with contextlib.suppress(Exception):
                        importlib.import_module(name)


def run(
    arguments: Sequence[object],
    log: Path,
    *,
    kill_after: float | None = None,
    later: float = 0.0,
    before: Callable[[], None] | None = None,
    after: Callable[[], object] | None = None,
    idle: float = 60.0,
    limit: float = 120.0,
) -> Outcome:
    """``redact ARGUMENTS`` in a fork.

    Seconds are those of the processor that the run used, so that a machine with much else to do neither
    moves the moment of a kill nor makes a slow run look like one that hangs.

    Args:
        arguments: Of the command, the verb first.
        log: File that takes what the run writes to standard output and standard error.
        kill_after: Seconds of its processor time after which the run gets SIGKILL; ``None``: never.
        later: Seconds by the clock to wait then, so that moments at which it waits for the disk are met too.
        before: Called in the fork before the command, e.g. to plant a fault.
        after: Called in the fork after it.
        idle: Seconds by the clock in which a run that uses next to no processor time is said to hang.
        limit: Seconds of processor time after which a run is said to hang. Its status is then ``-SIGALRM``.
    """
    # a pipe, not a file: a limit on the size of files must not cut off what the run says
    source, sink = os.pipe()
    fork = multiprocessing.get_context("fork").Process(
        target=_command, args=(list(map(str, arguments)), sink, before, after)
    )
    began = os.times()
    fork.start()
    os.close(sink)
    said: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(source, said))
    reader.start()
    hung = _watch(fork, kill_after, later, idle, limit)
    if fork.is_alive() and fork.pid is not None:
        os.kill(fork.pid, signal.SIGKILL)
    fork.join()
    reader.join()
    log.write_bytes(b"".join(said))
    status = -signal.SIGALRM if hung else fork.exitcode
    ended = os.times()
    used = ended.children_user + ended.children_system - began.children_user - began.children_system
    errors = log.read_text(encoding="utf-8", errors="replace")
    return Outcome(int(status or 0), used, errors)


def _watch(
    fork: multiprocessing.process.BaseProcess,
    kill_after: float | None,
    later: float,
    idle: float,
    limit: float,
) -> bool:
    """Wait until the run ended or is to be killed; whether it hangs."""
    assert fork.pid is not None
    clock = ~fork.pid << 3 | 2  # Linux: the processor time of that process, all its threads together
    used, moved = 0.0, time.monotonic()
    while True:
        fork.join(0.05 if kill_after is None else 0.002)
        if fork.exitcode is not None:
            return False
        try:
            now = time.clock_gettime(clock)
        except OSError:  # it has just ended
            continue
        if kill_after is not None and now >= kill_after:
            fork.join(later)
            return False
        if now > used + _MOVES:  # what only looks now and then whether it may go on does not move
            used, moved = now, time.monotonic()
        if now > limit or time.monotonic() - moved > idle:
            return True


def _drain(source: int, said: list[bytes]) -> None:
    with open(source, "rb") as file:
        said.extend(iter(lambda: file.read1(65536), b""))


def _command(
    arguments: list[str],
    sink: int,
    before: Callable[[], None] | None,
    after: Callable[[], object] | None,
) -> None:
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
    if after is not None:
        after()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def result(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every file that the same command must write bit by bit; empty if there is none."""
    from redact_core.support.folders import hashes

    if not folder.is_dir():
        return {}
    own = {
        name: digest
        for name, digest in hashes(folder).items()
        if name.rpartition("/")[2] not in DATED + PASSING and not name.startswith(COSTS)
    }
    for name in own:
        if name.startswith("attempts/") and name.endswith(".jsonl"):
            rows = [json.loads(text) for text in (folder / name).read_text(encoding="utf-8").splitlines()]
            own[name] = json.dumps(
                [{k: v for k, v in row.items() if k != "seconds"} for row in rows], allow_nan=False
            )
    return own


def tree(folder: Path) -> set[str]:
    """Every path below ``folder`` that is work.

    Not the logs of a run, for one that goes on keeps its own beside the first; nor a lock, which is open once its
    process is gone, and is used again.
    """
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {name for name in found if "/lightning_logs/version_" not in name and not name.endswith("/.lock")}
