"""Pages name files that exist, and their generated tables are those of the result files."""

import ast
import importlib
import json
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

import modalities.text_to_image
import modalities.text_to_speech
import redact_core

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# pages, and what sends its reader to them
POINTERS = [
    *PAGES,
    *(
        path
        for folder in ("configs", "redact_core", "modalities", "lightning_modules", "scripts")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".sh", ".yaml", ".md")
    ),
]
NAMED = re.compile(
    r"(?<![\w./-])(?:configs|scripts|docs|tests|modalities|redact_core|lightning_modules)/[\w./-]+\.(?:ya?ml|sh|py|md|png|json)"
)
OURS = ("redact_core", "modalities", "lightning_modules")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_files_that_are_named_exist() -> None:
    named = {(path, name) for path in POINTERS for name in NAMED.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > 100
    missing = sorted(
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in named
        if "/NAME/" not in name and not (ROOT / name).is_file()
    )
    assert missing == []


def test_links_lead_to_files() -> None:
    prose = {path: re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S) for path in PAGES}
    links = [(path, link) for path, text in prose.items() for link in LINK.findall(text)]
    assert len(links) > 100
    missing = [
        f"{path.relative_to(ROOT)}: {link}"
        for path, link in links
        if not link.startswith(("https:", "#")) and not (path.parent / link.split("#")[0]).is_file()
    ]
    assert missing == []


def test_code_on_pages_imports_what_exists() -> None:
    found: set[tuple[str, str]] = set()
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
            for node in ast.walk(ast.parse(textwrap.dedent(block))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
                    found |= {(str(node.module), name.name) for name in node.names}
    assert len(found) > 20
    missing = [f"{module}: {name}" for module, name in sorted(found) if not exists(module, name)]
    assert missing == []


def exists(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return False


def test_every_public_name_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: ([\w.]+)$", page, flags=re.M)
    packages = (redact_core, modalities.text_to_image, modalities.text_to_speech)
    public = [f"{p.__name__}.{name}" for p in packages for name in p.__all__ if name != "__version__"]
    assert len(set(shown)) == len(shown)
    # what several public classes share may stand there beside them
    assert set(public) <= set(shown) <= {*public, "redact_core.metrics.judge.Judge"}


def written_again(page: str, script: str, *figures: Path) -> str:
    """The page of ``docs/results`` as it is, once it is known to be what ``script`` makes of it without its tables."""
    written = (RESULTS / page).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / page
        bare.write_text(re.sub(r"(?m)^\|.*\n", "", written), encoding="utf-8")
        subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "tools" / script), *map(str, figures), str(bare)],
            check=True,
        )
        assert bare.read_text(encoding="utf-8") == written
    return written


def test_the_page_on_gpus_shows_the_result_files() -> None:
    runs = sorted((RESULTS / "gpu").glob("*.json"))
    written = written_again("gpu.md", "gpu_page.py", *runs)
    step = json.loads(runs[0].read_text(encoding="utf-8"))["parts"]["voice"]["rows"][0]["ms a step"]
    assert f"| voice | 32-true | {step:.2f} |" in written


def test_the_page_on_concepts_drawn_by_chance_shows_the_result_file() -> None:
    figures = RESULTS / "chance_concepts.json"
    written = written_again("chance_concepts.md", "chance_page.py", figures)
    monkey = json.loads(figures.read_text(encoding="utf-8"))["concepts"]["monkey"]
    assert f"| monkey | {monkey['reference']} |" in written


def test_the_page_on_sweeps_shows_the_result_files() -> None:
    folder = RESULTS / "sweeps"
    written = written_again("sweeps.md", "sweeps_page.py", folder)
    rows = json.loads((folder / "kills.json").read_text(encoding="utf-8"))["rows"]
    assert sum(row["runs"] for row in rows) >= 200
    assert f"| evaluate | {next(row['runs'] for row in rows if row['verb'] == 'evaluate')} |" in written


def test_pages_show_the_tables_that_experiments_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "tools"))
    import tables_page

    marked = re.compile(r"(<!-- table (\w+)\.[\w ]+ -->).*?(<!-- end -->)", re.DOTALL)
    shown: set[str] = set()
    for page in PAGES:
        written = page.read_text(encoding="utf-8")
        if marked.search(written):
            bare = marked.sub(r"\1\3", written)
            assert tables_page.filled(bare, RESULTS / "tables") == written, page.name
        shown |= {match[1] for match in marked.findall(written)}
    # gathered figures: their tables are named in the script
    gathered = (ROOT / "scripts" / "tools" / "summaries.py").read_text(encoding="utf-8")
    files = {path.stem for path in (RESULTS / "tables").glob("*.json")}
    assert {name for name in files if name not in shown and not re.search(rf'"{name}[".]', gathered)} == set()
    assert shown - files == {"summaries"}


def typed_tables(page: str) -> list[str]:
    """The lines of tables with a share in percent that stand between no marks of a generated table."""
    typed = re.sub(r"(?s)<!-- (?!end).*?-->.*?<!-- end.*?-->", "", page)
    return [
        line for line in typed.splitlines() if line.lstrip().startswith("|") and re.search(r"\d ?%", line)
    ]


def test_a_typed_share_in_a_table_is_seen() -> None:
    page = "<!-- table a.b -->\n| 1 % |\n<!-- end -->\n\n| asked | 2 % |\n| 20 rows |\n"
    assert typed_tables(page) == ["| asked | 2 % |"]


def test_no_share_in_a_table_of_results_is_typed() -> None:
    pages = {path.relative_to(RESULTS).as_posix(): path for path in sorted(RESULTS.rglob("*.md"))}
    typed = {name: typed_tables(path.read_text(encoding="utf-8")) for name, path in pages.items()}
    assert {name: lines for name, lines in typed.items() if lines} == {}


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    api = (tmp_path / "site" / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    assert 'id="redact_core.RobustDistillation"' in api


def test_the_page_on_many_at_once_shows_the_result_files() -> None:
    folder = RESULTS / "many"
    written = written_again("many.md", "many_page.py", folder)
    rows = json.loads((folder / "cost.json").read_text(encoding="utf-8"))["rows"]
    assert f"| 1,734 | {rows[-1]['redacted rows']:,} + {rows[-1]['retained rows']:,} |" in written
