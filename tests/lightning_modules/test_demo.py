"""``redact demo``: what it redacts and grades, in which order it is shown, and what it refuses."""

import subprocess
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest
from command import redact
from tqdm import tqdm

from lightning_modules.cli import demo, demo_steps
from lightning_modules.cli.demo_status import Status, progress
from modalities.text_to_image import demo as pictures
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from redact_core.evaluation.summary import SummaryRow, read_summary
from redact_core.reporting.exhibit import Exhibit, Graded

ROOT = Path(__file__).parents[2]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100"
    "18dd8db00000000049454e44ae426082"
)


def row(task: str, group: str) -> SummaryRow:
    return SummaryRow(
        task=task, group=group, metric="found", base=1.0, redacted=0.0, n=4, low=0.0, high=0.5
    )  # fmt: skip


def test_a_folder_that_is_there_is_refused_before_anything_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from lightning_modules.cli import main; status = main.main(); "
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--out", str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert (
        done.stderr
        == f"redact: {tmp_path} exists; nothing is overwritten. Give another folder or remove it.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--n", "--n_voice", "--steps"])
def test_counts_are_at_least_1(tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert redact("demo", "--out", tmp_path / "out", option, 0) == 2
    assert capsys.readouterr().err == (
        f"redact: Argument {option}: '0' is no number of at least 1; see redact demo --help.\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("subject", ["cigarette", "style: twemoji"])
def test_every_group_has_as_many_prompts_as_were_asked_for(subject: str) -> None:
    base = StableDiffusion("bundled")
    reference = "lollipop" if subject == "cigarette" else "fluent"
    groups = {name: pictures._cases(subject, reference, base, name, 7) for name in demo.PICTURE_GROUPS}
    assert {len(cases) for cases in groups.values()} == {7}
    asked = {case.prompt for case in groups["redacted"]}
    assert len(asked & {case.prompt for case in groups["paraphrased"]}) == 0
    if subject == "cigarette":
        gone = base.vocabulary.concepts["cigarette"]
        named = [any(x in case.prompt for x in gone.heldout) for case in groups["paraphrased"]]
        assert sum(named) == 4, "half of them by names that taught nothing"


class AtOnce(ProcessPoolExecutor):
    """Does each task when it is handed in, and here."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []

    def submit(self, function, log, step, *arguments):
        assert function is demo._carry_out
        if step == "fit":
            self.done.append((step, log.name))
            said = None
        else:
            _, arguments, device = arguments
            assert device == "cpu"
            self.done.append((step, log.name, *map(str, arguments)))
            said = Graded([row(log.stem, str(arguments[-2]))])
        future: Future[Graded | None] = Future()
        future.set_result(said)
        return future


def test_each_redaction_is_graded_after_it_and_shown_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = AtOnce()
    parts = demo._work_off(pool, tmp_path, 5, 3, None, "cpu", 0.0)
    wanted = [("no_cigarette", group) for group in pictures.GROUPS]
    wanted += [("no_twemoji", group) for group in pictures.GROUPS]
    assert [(part.rows[0]["task"], part.rows[0]["group"]) for part in parts] == [
        *wanted, ("no_voice", str(tmp_path / "no_voice"))
    ]  # fmt: skip
    for log in ("no_cigarette.log", "no_twemoji.log", "no_voice.log"):
        steps = [task[0] for task in pool.done if task[1] == log]
        assert steps[0] == "fit"
        assert set(steps[1:]) == {"grade"}
    folder = str(tmp_path / "no_cigarette")
    assert (
        "grade",
        "no_cigarette.log",
        "concept",
        "cigarette",
        "lollipop",
        folder,
        "redacted",
        "5",
    ) in pool.done
    said = capsys.readouterr().out
    assert said.count(": redacted\n") == 3
    assert said.count(": graded\n") == 3


def test_the_page_shows_every_part(tmp_path: Path) -> None:
    shown = Exhibit("cigarette redacted: redacted", ("a lit cigarette",), (PNG,), (PNG,))
    parts = [
        Graded([row("concept", "redacted")], [shown], {"found": "a classifier"}),
        Graded([row("style", "retained")]),
    ]
    rows = demo_steps.write(tmp_path, "What was done.", parts, {"concept": "cigarette", "style": "twemoji"})
    assert rows == [row("concept", "redacted"), row("style", "retained")]
    assert [(r["task"], r["group"]) for r in read_summary(tmp_path / "summary.json")] == [
        ("concept", "redacted"), ("style", "retained")
    ]  # fmt: skip
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (
        "What was done.",
        '<p class="verdict">“cigarette” ',
        "Judged by a classifier (“found”).",
        "concept cigarette: the figures",
        "cigarette redacted: redacted",
        "a lit cigarette",
        "data:image/png;base64",
    ):
        assert text in page


@pytest.mark.slow
def test_the_whole_in_short_and_a_second_time_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "lightning_modules",
        "demo",
        "--out",
        str(out),
        "--n",
        "2",
        "--n_voice",
        "1",
    ]
    command += ["--steps", "2", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = read_summary(out / "summary.json")
    assert {r["task"] for r in rows} == {"concept", "style", "voice"}
    assert {r["n"] for r in rows if r["task"] != "voice"} == {2}
    assert sorted(p.name for p in out.iterdir() if p.is_dir() and not p.suffix) == [
        "no_cigarette", "no_twemoji", "no_voice"
    ]  # fmt: skip
    assert "It took " in done.stdout
    assert subprocess.run(command, capture_output=True, text=True, cwd=ROOT).returncode == 2


def test_what_is_under_way_is_read_from_the_bars_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "no_cigarette.log"
    assert progress(log) == ""
    log.write_text("Preparing 1656 rows.\n", encoding="utf-8")
    assert progress(log) == ""
    with log.open("a", encoding="utf-8") as file:
        bar = tqdm(total=90, initial=0, desc="redact", unit="step", file=file, mininterval=0, ncols=80)
        for _ in range(40):
            bar.update()
            bar.set_postfix({"redact": "1.29e-01"}, refresh=False)
    found = progress(log)
    assert found.startswith("40/90, ")
    assert found.endswith("step/s")


def test_the_line_of_what_is_under_way_is_for_a_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_text("redact:  13%|#3  | 12/90 [00:04<00:31,  2.50step/s]", encoding="utf-8")
    Status().show(3.0, {"style: training": log})
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    status = Status()
    status.show(3.0, {"style: training": log})
    status.clear()
    assert capsys.readouterr().out == "\r\x1b[K   3 s  style: training 12/90, 2.50step/s\r\x1b[K"
