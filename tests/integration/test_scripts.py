"""Scripts that people run show a mistake as the commands do: in one line, with status 2."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from lightning_modules.support.one_line import one_line
from redact_core import RedactError

SCRIPTS = Path(__file__).parents[2] / "scripts"
OURS = re.compile(r"^\s*(from|import) (redact_core|modalities|lightning_modules)\b", re.MULTILINE)
RUN = '\nif __name__ == "__main__":\n'


def of_ours() -> list[Path]:
    """Scripts that can meet an error of ours."""
    folders = (SCRIPTS / name for name in ("experiments", "tools", "recipes"))
    texts = {path: path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py")}
    return sorted(path for path, text in texts.items() if RUN in text and OURS.search(text))


def test_every_script_ends_in_one_line() -> None:
    assert len(of_ours()) > 50
    open_ = [
        path.name
        for path in of_ours()
        if not path.read_text(encoding="utf-8").partition(RUN)[2].startswith("    with one_line()")
    ]
    assert open_ == []


def test_a_mistake_is_one_line_with_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/tools/grid.py"])
    with pytest.raises(SystemExit) as ended, one_line():
        raise RedactError("No \x1b[31msuch thing; give another.")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "grid: No \ufffd[31msuch thing; give another.\n"
    with pytest.raises(KeyError), one_line():  # a fault of ours keeps its traceback
        raise KeyError


def test_a_file_that_is_missing_is_one_line_with_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/tools/chance_page.py"])
    with pytest.raises(SystemExit) as ended, one_line():
        (tmp_path / "none.md").read_text()
    assert ended.value.code == 2
    said = (
        f"{tmp_path / 'none.md'}: No such file or directory; give another path, or mend that and run again."
    )
    assert capsys.readouterr().err == f"chance_page: {said}\n"
    with pytest.raises(OSError, match="nobody's"), one_line():
        raise OSError("nobody's file")


def test_no_script_ends_with_a_text_and_status_1() -> None:
    with_text = re.compile(r"""(?:SystemExit|sys\.exit)\(\s*f?["']""")
    found = [
        str(path.relative_to(SCRIPTS))
        for name in ("experiments", "tools", "recipes")
        for path in (SCRIPTS / name).rglob("*.py")
        if with_text.search(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "raise RedactError instead: one_line() prints it, with status 2"


def test_a_comparison_that_goes_on_from_no_results_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS / "experiments"))
    wrong, out = tmp_path / "wrong", tmp_path / "out"
    wrong.mkdir()
    (wrong / "results.json").write_text("[]")
    monkeypatch.setattr(sys, "argv", ["compare_methods.py", "--out", str(out), "--go-on-from", str(wrong)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / "experiments" / "compare_methods.py"), run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"compare_methods: {wrong / 'results.json'} holds no results of a comparison; give a results.json.\n"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["out/one"], "'out/one' is no NAME=FOLDER; give both with = between them."),
        (["one="], "'one=' is no NAME=FOLDER; give both with = between them."),
        (["one=a", "one=b"], "Two are called one; give another name."),
    ],
)
def test_what_is_no_name_with_its_folder_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS / "tools"))
    monkeypatch.setattr(sys, "argv", ["picture_tables.py", *given, "--out", "out/table.json"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / "tools" / "picture_tables.py"), run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"picture_tables: {said}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "holds no tables of results; give a tables.json of an experiment."),
        ("[1]", "holds no tables of results; give a tables.json of an experiment."),
        ('{"one": {"heads": ["a"]}}', "holds no tables of results; give a tables.json of an experiment."),
        ("{}", "holds no table; give another file."),
    ],
)
def test_a_file_without_tables_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    said: str,
) -> None:
    path, out = tmp_path / "tables.json", tmp_path / "all.json"
    if text is not None:
        path.write_text(text)
    monkeypatch.syspath_prepend(str(SCRIPTS / "tools"))
    monkeypatch.setattr(sys, "argv", ["gather_tables.py", f"one={path}", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / "tools" / "gather_tables.py"), run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"gather_tables: {path} {said}\n"
    assert not out.exists()
