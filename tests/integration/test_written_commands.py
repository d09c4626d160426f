"""Commands that README, docs and configs tell people to type: scripts have the options, and the verbs take them."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from command import redact

from lightning_modules.cli.attack import attack_parser
from lightning_modules.cli.compare import compare_parser
from lightning_modules.cli.evaluate import evaluate_parser
from lightning_modules.cli.short_forms import as_options
from lightning_modules.support.names import import_named

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
STARTS = re.compile(r"(?:redact|python) ")


def split(block: str) -> list[list[str]]:
    """The words of each command of a block of bash; quotes and backslashes may go over several lines."""
    found: list[list[str]] = []
    held = ""
    for line in re.sub(r"\$\w+", "0", block).splitlines():
        held += line + "\n"
        try:
            words = shlex.split(held.replace("\\\n", " "), comments=True)
        except ValueError:  # a quote is still open
            continue
        if not held.rstrip().endswith("\\"):
            found, held = [*found, words], ""
    return [words for words in found if words]


def commands() -> list[list[str]]:
    blocks = [
        b
        for page in PAGES
        for b in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    ]
    for page in PAGES:  # and of scripts those that stand in a sentence
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        blocks += [" ".join(line.split()) for line in re.findall(r"`(python scripts/[^`]*)`", prose)]
    heads = [line[2:] for path in CONFIGS for line in path.read_text(encoding="utf-8").splitlines()[:1]]
    # what follows the command in the head of a config is a remark
    blocks += [re.split(r"\s{2,}\(|,", head)[0] for head in heads if STARTS.match(head[:8])]
    found = [words for block in blocks for words in split(block)]
    # of a loop its body
    found = [words[words.index("do") + 1 :] if "do" in words else words for words in found]
    return [words for words in found if words and words[0] in ("redact", "python")]


COMMANDS = commands()
OPTION = re.compile(r"--[a-z]")


def test_they_are_found() -> None:
    verbs = [words[1] for words in COMMANDS if words[0] == "redact"]
    assert {"fit", "evaluate", "attack", "score", "report"} <= set(verbs)
    assert len([words for words in COMMANDS if words[0] == "python"]) > 20


def test_scripts_have_the_options_that_are_written() -> None:
    shared = (ROOT / "scripts" / "experiments" / "trained_settings.py").read_text(encoding="utf-8")
    missing: list[str] = []
    for words in COMMANDS:
        if words[0] == "python" and words[1].endswith(".py"):
            path = ROOT / words[1]
            missing += [] if path.is_file() else [words[1]]
            source = path.read_text(encoding="utf-8") + shared if path.is_file() else ""
            missing += [f"{words[1]} {w}" for w in words[2:] if OPTION.match(w) and f'"{w}"' not in source]
    assert missing == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["evaluate", "attack", "compare"])
def test_evaluate_attack_and_compare_take_what_is_written(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    make = {"evaluate": evaluate_parser, "attack": attack_parser, "compare": compare_parser}[verb]
    for words in COMMANDS:
        if words[:2] == ["redact", verb]:
            import_named(words[1:])
            given = as_options(words[2:], "base") if verb == "compare" else words[2:]
            make().parse_args(given)


@pytest.mark.slow
def test_fit_takes_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    refused: list[str] = []
    for words in COMMANDS:
        if words[:2] == ["redact", "fit"]:
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                try:
                    status = redact(*words[1:], "--print_config")
                except SystemExit as end:
                    status = end.code
            if status not in (0, None):
                refused.append(f"{' '.join(words)}: {out.getvalue()[-300:]}")
    assert refused == []
