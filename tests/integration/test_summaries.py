"""Tables that gather figures of other tables name a line, and get the figure that stands there."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from lightning_modules.comparison.result_tables import ResultTable, read_tables, write_tables
from redact_core import RedactError
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
    with pytest.raises(RedactError, match=r"holds groups; give FILE:TABLE"):
        gather.main()


def test_the_demos_table_has_a_line_a_redaction_with_what_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    import demo_table

    rows = [
        {"task": task, "group": group, "metric": metric, "base": 0.5, "redacted": 0.25, "low": 0.1, "high": 0.4, "n": 8}
        for task, metrics in (("concept", ["found"]), ("style", ["found"]), ("voice", ["identified", "cer"]))
        for group in demo_table.GROUPS
        for metric in metrics
    ]  # fmt: skip
    table = demo_table.as_table(rows)
    assert [line[0] for line in table.rows] == list(demo_table.NAMES.values())
    assert (
        table.markdown()
        .splitlines()[2]
        .startswith("| cigarette → lollipop | 8 | 50.0 % | 25.0 % [10.0, 40.0] |")
    )
    with pytest.raises(KeyError):  # a demo that holds no style
        demo_table.as_table([row for row in rows if row["task"] != "style"])


def test_an_exports_table_has_a_line_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    import export_table

    misses = {"one": {"redacted": 0.014, "retained": 0.006}, "two": {"redacted": 0.0, "retained": 0.25}}
    assert export_table.lines("default", {"ranks": [133, 191], "misses": misses}) == [
        ["default", "133 to 191", "one", "1.4 %", "0.6 %"],
        ["default", "133 to 191", "two", "0.0 %", "25.0 %"],
    ]
    (line,) = export_table.lines("closed", {"ranks": [173, 173], "misses": {"one": misses["one"]}})
    assert line[1] == "173"
