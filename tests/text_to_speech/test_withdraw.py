"""A list of withdrawals becomes gates and a receipt, which can be verified."""

import csv
import json
import runpy
import sys
from pathlib import Path

import pytest
import soundfile
from tiny_speech import harmonic_bank, tiny_encoder

SCRIPT = Path(__file__).parents[2] / "scripts" / "tools" / "withdraw_voices.py"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["withdraw_voices.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def listed(path: Path, *people: str) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "clip"])
        writer.writerows([p, f"bank/{p}/{c}.wav"] for p in people for c in range(3))
    return path


def test_withdrawals_leave_a_receipt_that_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock, people = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank")
    first, later = listed(tmp_path / "first.csv", "p0", "p1"), listed(tmp_path / "later.csv", "p2")
    out, third = tmp_path / "out", tmp_path / "third"
    run(monkeypatch, "--encoder", stock, "--list", first, "--keep", people, "--out", out)
    receipt = json.loads((out / "receipt.json").read_text())
    assert receipt["measured"]["clips answered by somebody else"] == {"p0": 3, "p1": 3}
    assert receipt["measured"]["kept clips changed"] == 0
    assert receipt["measured"]["kept clips"] == 12, "clips that are withdrawn are not kept"
    assert len(receipt["withdrawn"]["p0"]["clips"][0]["sha256"]) == 64
    assert receipt["withdrawn"]["p0"]["likeness of any output at most"] < 1
    run(monkeypatch, "--verify", out)
    run(monkeypatch, "--encoder", out, "--list", later, "--keep", people, "--out", third)
    again = json.loads((third / "receipt.json").read_text())
    assert again["earlier"] == receipt
    assert (third / "voice_gate_3.ckpt").is_file()

    (out / "voice_gate_1.ckpt").write_bytes((out / "voice_gate_2.ckpt").read_bytes())
    with pytest.raises(SystemExit, match=r"does not match its receipt: voice_gate_1\.ckpt"):
        run(monkeypatch, "--verify", out)


def test_bad_lists_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.csv"
    common = ("--list", path, "--keep", tmp_path, "--out", tmp_path / "out")
    path.write_text("who,file\n")
    with pytest.raises(SystemExit, match="must name the columns id, clip"):
        run(monkeypatch, *common)
    path.write_text("id,clip\nann,a.wav\nann,b.wav\n")
    soundfile.write(tmp_path / "b.wav", [0.0] * 100, 16_000)
    with pytest.raises(SystemExit, match=r"there is no file .*a\.wav"):
        run(monkeypatch, *common)
    path.write_text("id,clip\n")
    with pytest.raises(SystemExit, match="names nobody"):
        run(monkeypatch, *common)
