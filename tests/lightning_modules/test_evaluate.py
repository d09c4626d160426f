"""``redact evaluate``, ``score`` and ``report`` as users call them: kills, processes, refusals, re-scoring."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command import redact
from PIL import Image
from toy_evaluation import PictureToy, WordScorer, without_plums

from redact_core import RedactError
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.summary import read_summary
from redact_core.support.folders import hashes
from redact_core.support.jsonl import LineWriter, read_lines

ROOT = Path(__file__).parents[2]
RESULT = ("rows.jsonl", "plan.jsonl", "summary.json")


@pytest.fixture(scope="module")
def redacted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers a little otherwise than the base."""
    return without_plums(PictureToy(), tmp_path_factory.mktemp("models"))


def arguments(redacted: Path, out: Path, *more: object, delay: float = 0.0) -> list[str]:
    return [
        "evaluate", "--base", "toy_evaluation.PictureToy", "--base.delay", str(delay),
        "--redacted", str(redacted), "--out", str(out), "--redact", "plum", "--reference", "fig", "--n", "12",
        "--batch_size", "4", "--trainer.accelerator", "cpu", "--trainer.devices", "1",
        "--trainer.enable_progress_bar", "false", *map(str, more),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def whole(redacted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evidence that was made in one go; do not write into it."""
    out = tmp_path_factory.mktemp("evidence") / "whole"
    assert redact(*arguments(redacted, out)) == 0
    return out


def result(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULT} | {
        name: digest.encode() for name, digest in hashes(folder / "samples").items()
    }


def test_samples_rows_and_summary_are_on_disk(whole: Path) -> None:
    rows = read_lines(whole / "rows.jsonl")
    assert [(row["model"], row["index"]) for row in rows] == [
        (model, i) for model in ("base", "no_plum") for i in range(24)
    ]
    assert all((whole / row["sample"]).is_file() and row["sample"].endswith(".png") for row in rows)
    assert rows[0]["condition"] == "plum"
    assert rows[0]["labels"] == {"word": "plum", "reference": "fig"}
    assert rows[0]["scores"]["found"] == 1
    summary = {(r["group"], r["metric"]): r for r in read_summary(whole / "summary.json")}
    gone = summary["redacted", "found"]
    assert (gone["base"], gone["redacted"], gone["n"], gone.get("unscored")) == (1, 0, 12, 0)
    assert (gone.get("difference"), gone.get("wanted"), gone.get("model")) == (1, "low", "no_plum")
    assert not list(whole.rglob("*part-*"))


def test_killed_at_random_and_resumed_gives_the_same_rows(
    redacted: Path, whole: Path, tmp_path: Path
) -> None:
    """Forked, so that a start costs no imports; the moments are drawn anew on each run."""
    out, rng, kills = tmp_path / "cut", random.Random(), 0
    fork = multiprocessing.get_context("fork")
    for attempt in range(6):
        run = fork.Process(target=redact, args=arguments(redacted, out, delay=0.05))
        began, wait = time.monotonic(), rng.uniform(0.1, 0.5) * (attempt + 1)
        run.start()
        run.join(max(0.0, wait - (time.monotonic() - began)))
        if run.is_alive() and run.pid is not None:
            os.kill(run.pid, signal.SIGKILL)
            kills += 1
        run.join()
    assert kills
    assert redact(*arguments(redacted, out, delay=0.05)) == 0
    assert result(out) == result(whole)
    written = [(p, row["index"]) for p in (out / "parts").glob("*/*") for row in read_lines(p)]
    assert len(written) == len(set(written)) == 48


def test_a_line_that_was_cut_off_is_made_again(redacted: Path, whole: Path, tmp_path: Path) -> None:
    assert redact(*arguments(redacted, tmp_path / "cut")) == 0
    for path in [*(tmp_path / "cut" / "parts").glob("*/*"), *(tmp_path / "cut" / "scores").iterdir()]:
        path.write_bytes(path.read_bytes()[:-70])
    assert redact(*arguments(redacted, tmp_path / "cut")) == 0
    assert result(tmp_path / "cut") == result(whole)


def test_two_processes_give_the_rows_of_one(redacted: Path, whole: Path, tmp_path: Path) -> None:
    more = ["--trainer.devices", "2", "--trainer.strategy", "ddp_fork"]
    # threads of OpenMP do not survive a fork: a child that wants more than one waits for ever
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert redact(*arguments(redacted, tmp_path / "two", *more)) == 0
    finally:
        torch.set_num_threads(threads)
    assert result(tmp_path / "two") == result(whole)
    assert _written(tmp_path / "two") == {(model, rank): 12 for model in ("base", "no_plum") for rank in "01"}


def _written(folder: Path) -> dict[tuple[str, str], int]:
    return {(path.parent.name, path.stem): len(read_lines(path)) for path in (folder / "parts").glob("*/*")}


@pytest.mark.slow  # only the imports take long
def test_two_processes_started_by_lightning(redacted: Path, whole: Path, tmp_path: Path) -> None:
    """In processes that Lightning starts, which run the command from the beginning."""
    more = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-m", "lightning_modules", *arguments(redacted, tmp_path / "two", *more)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(tmp_path / "two") == result(whole)
    assert _written(tmp_path / "two") == {(model, rank): 12 for model in ("base", "no_plum") for rank in "01"}


def test_a_config_says_the_same_as_options(redacted: Path, whole: Path, tmp_path: Path) -> None:
    config = {
        "base": {"class_path": "toy_evaluation.PictureToy"},
        "redacted": [str(redacted)], "out": str(tmp_path / "out"), "redact": "plum", "reference": "fig",
        "n": 12, "batch_size": 4, "scorers": [{"class_path": "toy_evaluation.WordScorer"}],
        "trainer": {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False},
    }  # fmt: skip
    (tmp_path / "evaluate.yaml").write_text(yaml.safe_dump(config))
    assert redact("evaluate", "-c", tmp_path / "evaluate.yaml") == 0
    assert result(tmp_path / "out") == result(whole)


@pytest.mark.parametrize("config", ["bundled.yaml", "guards.yaml"])
def test_the_shipped_config_parses(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        redact("evaluate", "-c", ROOT / "configs" / "evaluate" / config, "--print_config")
    assert stop.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["redacted"] == ["out/no_cigarette"]


def test_a_plan_of_the_user_is_used(redacted: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text("condition,group,seed,redacted,word\nplum,redacted,3,,plum\npear,near,,no,pear\n")
    given = arguments(redacted, tmp_path / "out", "--trainer.precision", "bf16-mixed", "--plan", plan)
    for option in ("--redact", "--reference"):
        at = given.index(option)
        del given[at : at + 2]
    assert redact(*given) == 0
    rows = Evidence(tmp_path / "out").rows()
    assert [(r["condition"], r["seed"], r["redacted"]) for r in rows[:2]] == [
        ("plum", 3, True), ("pear", 1, False),
    ]  # fmt: skip


def test_scoring_again_does_not_generate(
    monkeypatch: pytest.MonkeyPatch, redacted: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert redact(*arguments(redacted, out, "--samples_only", "true")) == 0
    assert not (out / "rows.jsonl").exists()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(PictureToy, "generate", refuse)
    monkeypatch.setattr("toy_evaluation.PictureToy", refuse)
    assert redact("score", out, "--scorers+=toy_evaluation.WordScorer") == 0
    assert result(out) == result(whole)
    assert redact("score", out) == 0
    assert result(out) == result(whole)
    assert redact("score", out, "--scorers+=toy_evaluation.WordScorer", "--scorers.blind=true") == 0
    row = next(r for r in read_summary(out / "summary.json") if r["metric"] == "found")
    assert (row["redacted"], row["n"], row.get("unscored")) == (None, 0, 12)
    assert '"found": null' in (out / "rows.jsonl").read_text()
    assert redact("report", out) == 0
    assert (out / "report.html").is_file()


class Lacking(WordScorer):
    """Of a package that is not there."""

    def __init__(self) -> None:
        raise ImportError("No module named 'x'")


def test_a_package_that_a_judge_lacks_is_one_line_on_scoring_again(
    redacted: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        refusal(capsys, "score", whole, "--scorers+", f"{__name__}.Lacking") == "redact: No module named 'x'"
    )


def test_a_sample_that_cannot_be_judged_is_counted_and_not_averaged(redacted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert redact(*arguments(redacted, out, "--samples_only", "true")) == 0
    part = out / "parts" / "no_plum" / "0.jsonl"
    lines = read_lines(part)
    (out / lines[0]["sample"]).write_bytes(b"no picture")
    assert redact("score", out, "--scorers+=toy_evaluation.WordScorer") == 2  # not the sample that was made
    import hashlib

    lines[0]["sha256"] = hashlib.sha256(b"no picture").hexdigest()
    part.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert redact("score", out, "--scorers+=toy_evaluation.WordScorer") == 0
    row = next(r for r in read_summary(out / "summary.json") if r["metric"] == "found")
    assert (row["redacted"], row["n"], row.get("unscored"), row["base"]) == (0, 11, 1, 1)


def refusal(capsys: pytest.CaptureFixture[str], *given: object) -> str:
    capsys.readouterr()
    assert redact(*given) == 2
    lines = [text for text in capsys.readouterr().err.splitlines() if text.startswith("redact: ")]
    assert len(lines) == 1
    return lines[0]


def test_what_was_begun_otherwise_is_refused_in_one_line(
    redacted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "no_plum", tmp_path / "out"
    model.mkdir()
    (model / "encoder.safetensors").write_bytes((redacted / "encoder.safetensors").read_bytes())
    assert redact(*arguments(model, out)) == 0
    before = hashes(out)
    said = refusal(capsys, *arguments(model, out, "--seed", 1, "--n", 13))
    assert "out was begun otherwise: the plan was" in said
    assert "give another --out, or what it was begun with." in said
    assert "batch_size was 4 and is 5" in refusal(capsys, *arguments(model, out, "--batch_size", 5))
    said = refusal(capsys, *arguments(model, out, "--trainer.precision", "bf16-mixed"))
    assert "precision was 32-true and is bf16-mixed" in said
    PictureToy().save(model)
    said = refusal(capsys, *arguments(model, out))
    assert "no_plum has other files (encoder.safetensors); give another --out" in said
    model.rename(tmp_path / "renamed")
    said = refusal(capsys, *arguments(tmp_path / "renamed", out))
    assert "the models were base, no_plum and are base, renamed" in said
    assert hashes(out) == before


def test_mistakes_are_one_line(
    redacted: Path, tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    faulty = tmp_path / "plan.csv"
    faulty.write_text("condition,group,seed\n,redacted,1\npear,retained,x\n")
    for more, message in (
        (["--plan", faulty], "give either --redact WHAT or --plan FILE"),
        (["--n", 0], "--n is 0; give at least 1"),
        (["--redacted", tmp_path / "none"], "there is no folder"),
        (["--redacted", redacted, redacted], "two models are called no_plum"),
        (
            ["--trainer.strategy", "nobody"],
            "The trainer cannot be made: You selected an invalid strategy name",
        ),
        (["--trainer.precision", "bf16-true"], "give one of 32-true, bf16-mixed, 16-mixed"),
    ):
        assert message in refusal(capsys, *arguments(redacted, out, *more))
    assert not out.exists()
    assert "is no evidence folder" in refusal(capsys, "score", tmp_path)
    assert "is no evidence folder" in refusal(capsys, "report", tmp_path)
    with LineWriter(whole / ".lock"):
        assert "is being written by another process" in refusal(capsys, *arguments(redacted, whole))
    with pytest.raises(RedactError, match=r"line 2: condition is missing.*line 3: seed is 'x'"):
        from redact_core import read_plan

        read_plan(faulty)


def test_guards_are_models_named_by_class(
    redacted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shade = {"class_path": "toy_evaluation.ShadeGuard", "init_args": {"shade": 0.5}}
    guards = {"dark": shade, "no_plum+dark": shade, "no_plum+dark+dark": {"class_path": shade["class_path"]}}
    out = tmp_path / "out"
    assert redact(*arguments(redacted, out, "--guards", json.dumps(guards))) == 0
    evidence = Evidence(out)
    assert evidence.models == ["base", "no_plum", *guards]
    pixels = {
        model: np.asarray(Image.open(out / evidence.samples(model)[15][0]), dtype=int)
        for model in evidence.models
    }
    assert abs(pixels["base"] - 2 * pixels["dark"]).max() <= 1
    assert abs(pixels["no_plum"] - 4 * pixels["no_plum+dark+dark"]).max() <= 3
    assert pixels["base"].any()
    guards["dark"] = {"class_path": shade["class_path"], "init_args": {"shade": 0.7}}
    said = refusal(capsys, *arguments(redacted, out, "--guards", json.dumps(guards)))
    assert "dark has other settings (ShadeGuard.shade)" in said
    for name, message in (
        ("none+dark", "none+dark guards none, which is none of base, no_plum; name that before"),
        ("base", "'base' cannot be a model's name, or is taken"),
        ("a/b", "'a/b' cannot be a model's name"),
    ):
        given = arguments(redacted, tmp_path / "new", "--guards", json.dumps({name: shade}))
        assert message in refusal(capsys, *given)
    alone = arguments(redacted, tmp_path / "new", "--guards", json.dumps({"dark": shade}))
    at = alone.index("--redacted")
    assert redact(*alone[:at], *alone[at + 2 :]) == 0
    assert Evidence(tmp_path / "new").models == ["base", "dark"]
    neither = arguments(redacted, tmp_path / "neither")
    assert "--redacted FOLDER, or --guards" in refusal(capsys, *neither[:at], *neither[at + 2 :])
