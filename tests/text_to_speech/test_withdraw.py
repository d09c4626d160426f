"""A list of withdrawals becomes gates and a receipt, which can be verified."""

import csv
import json
import re
import runpy
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_speech import harmonic_bank, tiny_encoder

from lightning_modules.cli.main import main
from modalities.text_to_speech import SpeakerEncoder
from redact_core import RedactError, Request, redact
from redact_core.artefacts.receipt import read_withdrawals
from redact_core.gates import Gating
from redact_core.support.folders import hashes

SCRIPT = Path(__file__).parents[2] / "scripts" / "tools" / "withdraw_voices.py"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["withdraw_voices.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str]:
    """Status of ``redact verify``, and what it prints."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["redact", "verify", *map(str, arguments)])
    status = main()
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def listed(path: Path, *people: str) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "clip"])
        writer.writerows([p, f"bank/{p}/{c}.wav"] for p in people for c in range(3))
    return path


def test_withdrawals_leave_a_receipt_that_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stock, people = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank")
    first, later = listed(tmp_path / "first.csv", "p0", "p1"), listed(tmp_path / "later.csv", "p2")
    out, third = tmp_path / "out", tmp_path / "third"
    run(monkeypatch, "--encoder", stock, "--list", first, "--keep", people, "--out", out)
    receipt = json.loads((out / "receipt.json").read_text())
    assert receipt["measured"]["clips changed"] == {"p0": 3, "p1": 3}
    assert receipt["measured"]["kept clips changed"] == 0
    assert receipt["measured"]["kept clips"] == 12, "clips that are withdrawn are not kept"
    assert len(receipt["withdrawn"]["p0"]["clips"][0]["sha256"]) == 64
    assert receipt["withdrawn"]["p0"]["likeness of any output at most"] < 1
    assert receipt["gates"] == 2
    assert 0 < receipt["CPU seconds"] < 60
    checked = partial(verify, monkeypatch, capsys)
    assert checked(out)[0] == 0
    status, said = checked(out, "--list", first, "--keep", people)
    assert status == 0, said
    assert "2 gates are there; 6 clips of 2 withdrawn are changed; 12 kept clips have all their bits." in said
    status, said = checked(out, "--list", later, "--keep", people)
    assert status == 2
    assert "p2/0.wav is not among what was withdrawn; withdraw it first." in said
    run(monkeypatch, "--encoder", out, "--list", later, "--keep", people, "--out", third)
    again = json.loads((third / "receipt.json").read_text())
    assert again["earlier"] == receipt
    assert again["measured"]["clips changed"] == {"p2": 3}, (
        "though p2's voice answered somebody of the first list"
    )
    assert again["measured"]["kept clips"] == 9, "clips of the first list do not stay"
    assert again["measured"]["kept clips changed"] == 0
    status, said = checked(third, "--list", later, "--keep", people)
    assert status == 0, said
    assert "3 clips of 1 withdrawn are changed; 9 kept clips have all their bits." in said
    assert (third / "voice_gate_3.ckpt").is_file()

    status, said = checked(third, "--list", first, "--keep", people)
    assert status == 0, f"an earlier receipt counts too: {said}"
    assert "3 gates are there; 6 clips" in said

    (out / "voice_gate_1.ckpt").write_bytes((out / "voice_gate_2.ckpt").read_bytes())
    status, said = checked(out)
    assert status == 2
    assert "does not match its receipt: voice_gate_1.ckpt was altered." in said

    mine = third / "voice_gate_3.ckpt"
    mine.rename(tmp_path / "elsewhere.ckpt")
    mine.symlink_to(tmp_path / "elsewhere.ckpt")
    status, said = checked(third)
    assert status == 2
    assert "does not match its receipt: voice_gate_3.ckpt is a link that leads out of the folder." in said


def test_clips_that_all_but_equal_those_of_somebody_who_stays_pass_and_verify_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stock, people, out = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank"), tmp_path / "out"
    (people / "p9").mkdir()
    for clip in ("0.wav", "1.wav"):
        wave, rate = soundfile.read(people / "p2" / clip)
        soundfile.write(people / "p9" / clip, 0.999 * wave, rate)
    gone = listed(tmp_path / "list.csv", "p2")
    run(monkeypatch, "--encoder", stock, "--list", gone, "--keep", people, "--out", out)
    assert json.loads((out / "receipt.json").read_text())["measured"]["clips changed"] == {"p2": 1}
    status, said = verify(monkeypatch, capsys, out, "--list", gone, "--keep", people)
    assert status == 2
    assert "2 of 3 clips of p2 pass unchanged; the folder does not redact them." in said


def test_a_list_once_more_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stock, people = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank")
    once, both, alone = tmp_path / "once", tmp_path / "both", tmp_path / "alone"
    gone = listed(tmp_path / "list.csv", "p0", "p1")
    run(monkeypatch, "--encoder", stock, "--list", gone, "--keep", people, "--out", once)
    capsys.readouterr()
    run(monkeypatch, "--encoder", once, "--list", gone, "--keep", people, "--out", tmp_path / "twice")
    assert hashes(tmp_path / "twice") == hashes(once)
    said = capsys.readouterr()
    assert said.err == (
        f"Withdrawn before and left as they are: p0, p1.\nNobody on the list is new: {tmp_path / 'twice'} is a copy of {once}.\n"
    )
    assert json.loads(said.out)["clips changed"] == {"p0": 3, "p1": 3}
    # somebody new on the same list: only that one gets a gate, the one that a list of its own would have made
    for out, names in ((both, ("p0", "p1", "p2")), (alone, ("p2",))):
        some = listed(tmp_path / f"{out.name}.csv", *names)
        run(monkeypatch, "--encoder", once, "--list", some, "--keep", people, "--out", out)
    assert "Withdrawn before and left as they are: p0, p1.\n" in capsys.readouterr().err
    receipt = json.loads((both / "receipt.json").read_text())
    assert (receipt["gates"], list(receipt["withdrawn"])) == (3, ["p2"])
    first, second = ({n: h for n, h in hashes(f).items() if n != "receipt.json"} for f in (both, alone))
    assert first == second
    assert verify(monkeypatch, capsys, both, "--list", tmp_path / "both.csv")[0] == 0

    (once / "voice_gate_1.ckpt").write_bytes((once / "voice_gate_2.ckpt").read_bytes())
    with pytest.raises(SystemExit):
        run(monkeypatch, "--encoder", once, "--list", gone, "--keep", people, "--out", tmp_path / "third")
    assert "once does not match its receipt: voice_gate_1.ckpt was altered." in capsys.readouterr().err
    assert not (tmp_path / "third").exists()


def test_withdrawals_from_a_redacted_encoder_keep_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stock, people = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank")
    model = SpeakerEncoder(str(stock), people, seconds=6.0, variants=2)
    redact(model, Request(("p1",), ("p5",)), objective=Gating()).save(tmp_path / "red")
    gone, same = listed(tmp_path / "list.csv", "p0"), listed(tmp_path / "same.csv", "p1")
    run(
        monkeypatch,
        "--encoder",
        tmp_path / "red",
        "--list",
        gone,
        "--keep",
        people,
        "--out",
        tmp_path / "out",
    )
    card = json.loads((tmp_path / "red" / "redaction.json").read_text())
    receipt = json.loads((tmp_path / "out" / "receipt.json").read_text())
    assert receipt["card"] == {**card, "earlier": [], "use": {}}  # both are empty and not written
    assert receipt["gates"] == 2
    # one of whom there is a gate already, though no receipt says so
    with pytest.warns(
        UserWarning, match="1 of the redacted voices has a gate that replaces all that was given"
    ):
        run(
            monkeypatch,
            "--encoder",
            tmp_path / "red",
            "--list",
            same,
            "--keep",
            people,
            "--out",
            tmp_path / "same",
        )
    receipt = json.loads((tmp_path / "same" / "receipt.json").read_text())
    assert receipt["gates"] == 1
    assert list(receipt["withdrawn"]["p1"]) == ["clips"]
    assert verify(monkeypatch, capsys, tmp_path / "same", "--list", same)[0] == 0


def test_clips_that_stay_are_embedded_once_however_many_are_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock, people = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank")
    read = Counter[str]()
    honest = SpeakerEncoder._read

    def counted(self: SpeakerEncoder, condition: Path) -> torch.Tensor:
        read[str(condition)] += 1
        return honest(self, condition)

    monkeypatch.setattr(SpeakerEncoder, "_read", counted)
    reads = []
    for names in (["p0"], ["p0", "p1", "p2"]):
        read.clear()
        out = tmp_path / f"out{len(names)}"
        listed_now = listed(tmp_path / "list.csv", *names)
        run(monkeypatch, "--encoder", stock, "--list", listed_now, "--keep", people, "--out", out)
        reads.append(read[str(people / "p5" / "0.wav")])
        receipt = json.loads((out / "receipt.json").read_text())
        assert receipt["gates"] == len(names)
        assert list(receipt["measured"]["clips changed"]) == names
    assert reads[0] == reads[1]


def test_more_people_in_one_folder_than_clips_that_stay_have_a_gate_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock, people = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank")
    gone, keep = tmp_path / "gone", tmp_path / "keep" / "p5"
    gone.mkdir()
    keep.mkdir(parents=True)
    (keep / "0.wav").symlink_to(people / "p5" / "0.wav")
    for name in ("p0", "p1", "p2"):
        (people / name / "0.wav").rename(gone / f"{name}.wav")
    (tmp_path / "list.csv").write_text("id,clip\na,gone/p0.wav\nb,gone/p1.wav\nc,gone/p2.wav\n")
    run(
        monkeypatch, "--encoder", stock, "--list", tmp_path / "list.csv", "--keep", tmp_path / "keep",
        "--out", tmp_path / "out",
    )  # fmt: skip
    receipt = json.loads((tmp_path / "out" / "receipt.json").read_text())
    assert receipt["gates"] == 3
    assert receipt["measured"]["clips changed"] == {"a": 1, "b": 1, "c": 1}


def test_nobody_who_stays_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stock, people = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank", people=2)
    gone = listed(tmp_path / "list.csv", "p0", "p1")
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "--encoder", stock, "--list", gone, "--keep", people, "--out", tmp_path / "out")
    said = capsys.readouterr().err
    assert re.search(
        r"^withdraw_voices: Nobody in .*bank stays besides those on the list;", said, re.MULTILINE
    )


def test_a_model_made_of_a_folder_of_withdrawals_has_a_card_and_not_its_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stock, people = tiny_encoder(tmp_path / "stock"), harmonic_bank(tmp_path / "bank")
    first = listed(tmp_path / "first.csv", "p0")
    run(monkeypatch, "--encoder", stock, "--list", first, "--keep", people, "--out", tmp_path / "out")
    model = SpeakerEncoder(str(tmp_path / "out"), people, seconds=1.0, variants=2)
    redact(model, Request(("p1",), ("p5",))).save(tmp_path / "again")
    status, said = verify(monkeypatch, capsys, tmp_path / "again", "--list", first)
    assert status == 0, said
    assert "2 gates are there; 3 clips of 1 withdrawn are changed." in said


def test_a_folder_whose_gates_are_taken_out_is_found_though_its_receipt_was_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stock = tiny_encoder(tmp_path / "stock")
    receipt = {"created": "2026", "gates": 1, "withdrawn": {}, "files": hashes(stock)}
    (stock / "receipt.json").write_text(json.dumps(receipt))
    status, said = verify(monkeypatch, capsys, stock)
    assert status == 2
    assert "holds 0 gates where 1 are told of; the redaction is undone." in said


@pytest.mark.parametrize(
    ("receipt", "message"),
    [
        (None, "has neither redaction.json nor receipt.json; give a folder that redact wrote."),
        ("[]", "receipt.json is not a receipt of withdrawals; restore it from a backup."),
        (
            '{"created": "2026", "gates": "1", "files": {}, "withdrawn": {}}',
            "is not a receipt of withdrawals",
        ),
        (
            '{"created": "2026", "gates": 1, "files": {}, "withdrawn": {}, "earlier": {"withdrawn": []}}',
            "is not a receipt of withdrawals",
        ),
        (
            '{"created": "2026", "gates": 1, "files": {}, "withdrawn": {}, "earlier": {"withdrawn": {"p": {"clips": [{}]}}}}',
            "is not a receipt of withdrawals",
        ),
    ],
)
def test_folders_without_a_readable_receipt_are_one_line(
    receipt: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if receipt is not None:
        (tmp_path / "receipt.json").write_text(receipt)
    status, said = verify(monkeypatch, capsys, tmp_path)
    assert status == 2
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("who,clip\n", "the first line must name the columns id, clip."),
        ("id,clip\nanna,gone.wav\n", "there is no file"),
        ("id,clip\nanna,\n", "line 2 lacks an id or a clip; give both."),
        ("id,clip\nanna,a, b.wav\n", "has 3 cells for 2 columns"),
        ("id,clip\n", "names nobody; give a line for each clip."),
    ],
)
def test_lists_that_say_nothing_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(RedactError, match=re.escape(message)):
        read_withdrawals(path)
