"""Tables that gather figures of other tables name a line, and get the figure that stands there."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from lightning_modules.comparison.result_tables import ResultTable, read_tables, write_tables
from redact_core.metrics.statistics import wilson

TOOLS = Path(__file__).parents[2] / "scripts" / "tools"


@pytest.fixture
def summaries(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import summaries

    return summaries


@pytest.fixture
def gather(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import gather_tables

    return gather_tables


def written(folder: Path, name: str = "one") -> Path:
    rows = [
        ["redacted", "concept found", wilson(50, 50), wilson(1, 50)],
        ["redacted", "reference found", wilson(0, 50), wilson(20, 50)],
        ["kept", "concept found", wilson(40, 50), wilson(39, 50)],
    ]
    path = folder / f"{name}.json"
    write_tables(path, {"groups": ResultTable(["group", "measure", "base", "redacted"], rows, 1, True)})
    return path


def test_a_line_holds_the_figures_of_the_row_that_it_names(summaries: ModuleType, tmp_path: Path) -> None:
    written(tmp_path)
    source = summaries.Source(tmp_path)
    row = ("redacted", "concept found")
    leak = summaries.graded(source, "asked for", "one.groups", row, "[page](page.md)")
    assert leak == ["asked for", "50", "100.0 %", "**2.0 %** [0.4, 10.5]", "[page](page.md)"]
    kept = summaries.graded(source, "others, kept", "one.groups", ("kept", "concept found"), "")
    assert kept[2:4] == ["80.0 %", "78.0 % [64.8, 87.2]"]


def test_a_row_that_is_missing_or_not_the_only_one_is_refused(summaries: ModuleType, tmp_path: Path) -> None:
    written(tmp_path)
    source = summaries.Source(tmp_path)
    with pytest.raises(KeyError, match=r"2 lines of one\.groups hold redacted; name one"):
        source.cell("one.groups", ("redacted",), "base")
    with pytest.raises(KeyError, match=r"0 lines of one\.groups hold far"):
        source.cell("one.groups", ("far",), "base")


def test_tables_of_several_files_are_gathered_and_those_of_other_names_stay(
    gather: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, out = written(tmp_path), written(tmp_path, "two"), tmp_path / "all.json"
    for given in (f"plain={first}", f"default={second}:groups"):
        monkeypatch.setattr(sys, "argv", ["gather_tables.py", given, "--out", str(out)])
        gather.main()
    tables = read_tables(out)
    assert list(tables) == ["plain", "default"]
    assert tables["plain"] == tables["default"] == read_tables(first)["groups"]
    monkeypatch.setattr(sys, "argv", ["gather_tables.py", f"x={first}:none", "--out", str(out)])
    with pytest.raises(SystemExit, match=r"holds groups; give FILE:TABLE"):
        gather.main()
