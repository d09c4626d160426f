"""The README's Python is run, with fewer steps; its commands name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_examples_run(number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = re.sub(r"steps=\d+", "steps=2", BLOCKS[number])
    # these folders are what the commands write; the bases stand in for them
    for folder, base in (
        ("out/no_cigarette", "text_to_image/bundled/pipeline"),
        ("out/no_alice", "text_to_speech/bundled/encoder"),
    ):
        code = code.replace(f'"{folder}"', repr(str(ROOT / "modalities" / base)))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"README.md, example {number + 1}", "exec"), {})


def test_named_files_exist() -> None:
    named = re.findall(r"(?:configs|scripts|docs|modalities)/[\w./-]+\.(?:ya?ml|sh|py|md|png)", TEXT)
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).is_file()] == []
