"""A full disk, a read-only disk, at every write: one clear line, nothing half-written, and the next run is whole.

    python scripts/sweeps/faults.py --out out/sweeps [--most 40]

Each command of ``kills.py`` runs once while its writes below its folder are counted (an audit hook sees every
file opened for writing, folder made and name changed). Then it runs again and again with one of these refused,
by "no space left" and by "read-only file system", at most ``--most`` places of each, spread evenly. Safetensors
files are written by a library of another language, which the hook does not see; a limit on a file's size
stands for a disk that is full by then. Prints a table, writes OUT/faults.json after every run; a sweep that
was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import errno
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from ctypes import c_int
from pathlib import Path

from aftermath import Undisturbed, aftermath
from forked import result, run, tree, warm_up
from tally import Record, Tally
from tqdm import tqdm
from verbs import SLOW, Verb, verbs

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def fault(below: Path, place: int, code: int, seen: c_int) -> Callable[[], None]:
    """Refuse the ``place``-th write below a folder and all later ones; ``seen`` counts them."""

    def plant() -> None:
        root = str(below)

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event == "open":
                path, _, flags = arguments
                writes = isinstance(flags, int) and bool(flags & WRITING)
            elif event in {
                "os.mkdir",
                "os.rename",
                "os.symlink",
                "os.link",
                "shutil.copyfile",
                "shutil.copytree",
            }:
                path, writes = arguments[0] if event == "os.mkdir" else arguments[1], True
            else:
                return
            if not writes or not isinstance(path, str | bytes | os.PathLike):
                return
            if not os.path.abspath(os.fsdecode(path)).startswith(root):  # noqa: PTH100 - pathlib would call the hook
                return
            seen.value += 1
            if seen.value >= place > 0:
                raise OSError(code, os.strerror(code), os.fsdecode(path))

        sys.addaudithook(hook)

    return plant


def too_large(limit: int) -> Callable[[], None]:
    """No file may grow beyond ``limit`` bytes."""

    def plant() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return plant


def sweep(verb: Verb, most: int, home: Path, record: Record) -> Tally:
    """Refuse writes of one verb, one place after the other; ``home``: no folder yet."""
    tally = record.of(verb.name)
    reference = home / "reference" / "out"
    reference.parent.mkdir(parents=True)
    seen = multiprocessing.get_context("fork").Value(c_int, 0).get_obj()
    done = run(verb.arguments(reference), home / "log", before=fault(reference.parent, 0, 0, seen))
    if done.status:
        raise SystemExit(f"{verb.name} fails without a fault:\n{done.errors}")
    undisturbed, writes = Undisturbed(result(reference), tree(reference.parent)), seen.value
    most = most if verb.name != SLOW else (most + 4) // 5
    places = sorted({1 + round(k * (writes - 1) / max(1, most - 1)) for k in range(min(most, writes))})
    faults = [
        (f"{errno.errorcode[code]} at write {place} of {writes}", place, code)
        for place in places
        for code in (errno.ENOSPC, errno.EROFS)
    ]
    faults += [(f"files of at most {2**n} bytes", -1, 2**n) for n in range(6, 22, 3)]
    left = list(enumerate(faults))[tally.runs :]
    for number, (name, place, code) in tqdm(left, desc=verb.name, unit="fault"):
        out = home / f"{number}" / "out"
        out.parent.mkdir()
        seen.value = 0
        plant = too_large(code) if place < 0 else fault(out.parent, place, code, seen)
        starved = run(verb.arguments(out), home / "log", before=plant)
        tally.runs += 1
        lines = [text for text in starved.errors.splitlines() if text.startswith("redact: ")]
        if starved.status == 0:
            tally.ended_well += 1
        elif starved.status != 2 or "Traceback" in starved.errors or len(lines) != 1:
            tally.unclear += 1
            tally.note(f"{name}: status {starved.status}, {starved.errors[-400:]}")
        aftermath(tally, name, verb, out, undisturbed, home / "log")
        record.write()
        shutil.rmtree(out.parent)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most", type=int, default=40)
    parser.add_argument("--verbs", nargs="*", help="Default: all.")
    options = parser.parse_args()
    record = Record(options.out / "faults.json", most=options.most)
    with tempfile.TemporaryDirectory() as folder:
        chosen = verbs(Path(folder))
        warm_up(*(verb.arguments for verb in chosen))
        for number, verb in enumerate(chosen):
            if not options.verbs or verb.name in options.verbs:
                sweep(verb, options.most, Path(folder) / f"sweep{number}", record)
    record.end()


if __name__ == "__main__":
    main()
