"""What a killed process leaves is removed by the next; what a living one writes is left alone."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_modules.cli import main
from redact_core import RedactError, read_plan
from redact_core.evaluation.evidence import Evidence
from redact_core.support.folders import check_target, new_folder, write_whole
from redact_core.support.locks import claimed

FOLDER = "with new_folder(Path({target!r})) as part:"
FILE = """with mock.patch("os.fsync", lambda descriptor: stop()):
    write_whole(Path({target!r}), b"half")
    raise SystemExit"""
CLAIM = "with claimed(Path({target!r})):"


class Writer:
    """Another process that stops in the middle of writing ``target``; killed when the block ends."""

    def __init__(self, way: str, target: Path):
        code = (
            "import time\nfrom pathlib import Path\nfrom unittest import mock\n"
            "from redact_core.support.folders import new_folder, write_whole\n"
            "from redact_core.support.locks import claimed\n"
            "def stop():\n    print('there', flush=True)\n    time.sleep(60)\n"
            + way.format(target=str(target))
        )
        if way is not FILE:
            code += "\n    stop()\n"
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"there\n"

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def write_folder(target: Path) -> None:
    with new_folder(target) as part:
        (part / "model").write_text("whole")


def test_parts_of_killed_processes_are_removed_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    folder, file, mine = tmp_path / "out[1]", tmp_path / "rows.jsonl", tmp_path / ".out[1].part-mine"
    writers = [Writer(FOLDER, folder), Writer(FILE, file)]
    try:
        parts = {path.name for path in tmp_path.iterdir()}
        assert len(parts) == 2
        write_folder(folder)
        write_whole(file, b"mine\n")
        assert {path.name for path in tmp_path.iterdir()} == parts | {"out[1]", "rows.jsonl"}
        (folder / "model").unlink()
        folder.rmdir()
    finally:
        for writer in writers:
            writer.kill()
    mine.symlink_to(tmp_path)  # what is no folder of ours
    write_folder(folder)
    write_whole(file, b"again\n")
    assert {path.name for path in tmp_path.iterdir()} == {"out[1]", "rows.jsonl", mine.name}
    assert file.read_bytes() == b"again\n"


def test_a_try_that_was_killed_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / ".redact-try-abc").mkdir()
    check_target(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    writer = Writer(CLAIM, tmp_path / "run")
    try:
        with pytest.raises(RedactError, match=r"run is in use by another process; wait for it, stop it, or"):
            claimed(tmp_path / "run").__enter__()
    finally:
        writer.kill()
    with claimed(tmp_path / "run"):
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert not list((tmp_path / "run").iterdir())


def test_a_pipe_in_the_place_of_a_part_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".out.part-pipe")
    began = time.monotonic()
    write_folder(tmp_path / "out")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["plan.csv", "plan.jsonl"])
def test_a_pipe_is_no_plan(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(RedactError, match=rf"{name} is a pipe, socket or device; give a file\."):
        read_plan(tmp_path / name)


def test_a_pipe_in_a_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "evidence.json")
    with pytest.raises(RedactError, match=r"evidence\.json is a pipe, socket or device; put the file itself"):
        Evidence(tmp_path)


def test_a_disk_that_takes_no_more_is_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / "x"))

    monkeypatch.setitem(main._VERBS, "card", refuse)
    monkeypatch.setattr(sys, "argv", ["redact", "card", "x"])
    assert main.main() == 2
    expected = f"redact: {tmp_path / 'x'}: Read-only file system; free space, mend its rights or give another path, then run again.\n"
    assert capsys.readouterr().err == expected
