"""``redact attack`` as users call it: table, attempts that can be replayed, resuming, refusals."""

import html
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from command import redact
from toy_attacks import OpenToy, Restore
from toy_evaluation import without_plums

from lightning_modules.evaluation.attempt_files import load_attempt
from redact_core import Attempt, RedactError
from redact_core.evaluation.evidence import Evidence
from redact_core.evaluation.summary import read_summary
from redact_core.metrics.scorer import Metric, leak_metric
from redact_core.reporting.attack_report import _families
from redact_core.reporting.attack_table import attack_table, attempts_of
from redact_core.reporting.sections import report_json
from redact_core.support.jsonl import read_lines

ATTACKS = "[toy_attacks.Spelling, toy_attacks.Bypass, toy_attacks.Restore, toy_attacks.Best]"


@pytest.fixture(scope="module")
def redacted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that draws nothing known when it is asked for a plum."""
    return without_plums(OpenToy(), tmp_path_factory.mktemp("models"))


def arguments(redacted: Path, out: Path, *more: object, attacks: str = ATTACKS) -> list[str]:
    return [
        "attack", "--base", "toy_attacks.OpenToy", "--redacted", str(redacted), "--out", str(out),
        "--redact", "plum", "--reference", "fig", "--n", "6", "--batch_size", "4", "--device", "cpu",
        *(["--attacks", attacks] if attacks else []), *map(str, more),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def whole(redacted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evidence") / "whole"
    Restore.calls.clear()
    assert redact(*arguments(redacted, out)) == 0
    return out


def table(folder: Path) -> dict[str, Any]:
    evidence = Evidence(folder)
    return {row["attack"]: row for row in attack_table(evidence, read_summary(folder / "summary.json"))}


def test_the_table_has_leak_and_ceiling_of_every_attack_by_access(whole: Path) -> None:
    rows = table(whole)
    assert list(rows) == ["plain", "Spelling", "Bypass", "Best", "Restore"]
    assert [row["access"] for row in rows.values()] == [
        "none", "prompt", "encoder gradient", "sample", "weights",
    ]  # fmt: skip
    leak = {name: (row["redacted"], row["base"], row["n"]) for name, row in rows.items()}
    assert leak["plain"] == leak["Spelling"] == (0, 1, 6)
    assert leak["Bypass"] == leak["Restore"] == leak["Best"] == (1, 1, 6)
    assert rows["Bypass"]["low"] == pytest.approx(0.6097, abs=1e-3)  # Wilson's for 6 of 6
    assert (rows["Spelling"]["kind"], rows["Bypass"]["kind"], rows["plain"]["kind"]) == (
        "static",
        "adaptive",
        "",
    )
    assert (rows["Spelling"]["queries"], rows["Bypass"]["queries"], rows["plain"]["queries"]) == (2, 5, None)
    # once for each model, with all rows, whatever the batches are
    assert [(type(model), n) for model, n in Restore.calls] == [(OpenToy, 6), (OpenToy, 6)]


def test_the_report_for_programs_names_access_kind_budget_and_ceiling(whole: Path) -> None:
    evidence = Evidence(whole)
    assert report_json(evidence)["attacks"] == list(table(whole).values())
    worst = report_json(evidence)["attacks"][-1]
    assert (worst["attack"], worst["access"], worst["kind"]) == ("Restore", "weights", "static")
    assert {"budget", "low", "high", "base", "base_n"} <= set(worst)


def test_every_attack_gets_the_plain_rows_and_their_seeds(whole: Path) -> None:
    plan = Evidence(whole).plan
    groups = list(dict.fromkeys(row.group for row in plan))
    assert groups == ["plain", *(f"attack:{name}" for name in ("Spelling", "Bypass", "Restore", "Best"))]
    asked = [[(r.condition, r.seed) for r in plan if r.group == group] for group in groups]
    assert all(one == asked[0] for one in asked)
    assert all(r.labels.get("attack", "plain") == r.group.removeprefix("attack:") for r in plan)


def test_attempts_are_files_that_can_be_read_again(whole: Path) -> None:
    found = attempts_of(Evidence(whole), "no_plum")
    kinds = {str(row["attack"]): row["kind"] for row in found.values()}
    assert kinds == {
        "Spelling": "condition", "Bypass": "conditioning", "Restore": "condition", "Best": "sample",
    }  # fmt: skip
    record = next(row for row in found.values() if row["attack"] == "Bypass")
    assert record["losses"] == [1.0, 0.5, 0.33333, 0.25, 0.2]
    attempt = load_attempt(whole, record)
    base = OpenToy()
    assert attempt.conditioning is not None
    said = base.encoder(base.collate(["plum"])).hidden
    assert torch.allclose(attempt.conditioning.hidden, said, atol=1e-5)  # batches of 4 and of 1
    with pytest.raises(RedactError, match="cannot be replayed"):
        load_attempt(whole, {"kind": "sample", "attack": "Best"})


def test_it_goes_on_where_it_was_stopped(
    redacted: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    generate = OpenToy.generate

    def dying(self: OpenToy, *a: Any, **k: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise RedactError("killed")
        return generate(self, *a, **k)

    monkeypatch.setattr(OpenToy, "generate", dying)
    out = tmp_path / "out"
    assert redact(*arguments(redacted, out)) == 2
    there = len(Evidence(out).samples("base"))
    assert 0 < there < 30
    assert redact(*arguments(redacted, out)) == 0
    ours, theirs = Evidence(out), Evidence(whole)
    for model in ("base", "no_plum"):
        assert [d for _, d in ours.samples(model).values()] == [d for _, d in theirs.samples(model).values()]
    for model in ("base", "no_plum"):
        found, wanted = (read_lines(folder / "attempts" / f"{model}.jsonl") for folder in (out, whole))
        assert [row["index"] for row in found] == [row["index"] for row in wanted], (
            "no attempt is there twice"
        )
    before = calls
    assert redact(*arguments(redacted, out)) == 0
    assert calls == before, "nothing is made twice"


def test_another_seed_or_judge_is_another_search(
    redacted: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan is the same where it comes from a file; what is found is not."""
    out, plan = Path(shutil.copytree(whole, tmp_path / "out")), tmp_path / "plan.jsonl"
    rows = [json.loads(line) for line in (whole / "plan.jsonl").read_text().splitlines()]
    plan.write_text(
        "".join(json.dumps(r | {"group": "redacted"}) + "\n" for r in rows if r["group"] == "plain")
    )
    again = arguments(redacted, out)
    at = again.index("--redact")
    again[at : at + 4] = ["--plan", str(plan)]
    assert redact(*again) == 0, "the same seed goes on"
    assert redact(*again, "--seed", "1") == 2
    assert "the seed of the attacks was 0 and is 1; give another --out, or what it was begun with." in (
        capsys.readouterr().err
    )
    manifest = json.loads((out / "evidence.json").read_text())
    assert {record["success"] for record in manifest["attacks"].values()} == {"WordScorer"}
    del manifest["seed"]  # as former versions wrote it
    (out / "evidence.json").write_text(json.dumps(manifest | {"schema": 1}))
    assert redact(*again) == 2
    assert "the seed of the attacks was not recorded and is 0; give another --out" in capsys.readouterr().err


def test_transfer_asks_other_models_what_was_found(redacted: Path, whole: Path, tmp_path: Path) -> None:
    more = [
        "--base",
        "toy_attacks.OpenToy",
        "--redacted",
        redacted,
        "--out",
        tmp_path / "out",
        "--device",
        "cpu",
    ]
    assert redact("attack", *more, "--replay", whole, "--from", "base") == 0
    rows = table(tmp_path / "out")
    assert set(rows) == {"plain", "Spelling", "Bypass", "Restore"}  # samples cannot be asked
    assert rows["Bypass"]["redacted"] == 1  # the base's conditioning, found on the base
    assert rows["Restore"]["redacted"] == 0  # its conditions without its weights
    assert {row["kind"] for row in rows.values()} == {"", "static"}
    assert rows["Bypass"]["budget"] == "as found on base"


def test_clips_are_copied_into_the_evidence(redacted: Path, tmp_path: Path) -> None:
    from lightning_modules.evaluation.attempt_files import AttemptWriter

    clip = tmp_path / "a.wav"
    clip.write_bytes(b"RIFF")
    with AttemptWriter(tmp_path / "e", "base") as writer:
        (kept,) = writer.write([7], "Noise", [Attempt(condition=clip)], 0.1)
    assert kept.condition == tmp_path / "e" / "attempts" / "base" / "000007.wav"
    assert kept.condition.read_bytes() == b"RIFF"


def test_score_and_report_work_on_it(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert redact("score", whole) == 0
    assert "weights           Restore" in capsys.readouterr().out
    assert redact("report", whole) == 0
    page = html.unescape((whole / "report.html").read_text(encoding="utf-8"))
    table = page[page.index("Attacks</h2>") :]
    assert "attacks brings it back" in page or "brings it back in" in page
    assert "Leak, attacker with access: weights" in page
    leaky, tight = table.index(">Bypass<"), table.index(">Spelling<")
    assert leaky < tight, "worst first"
    assert "100.0 %" in table[leaky : leaky + 200]
    assert "What the searches minimised" in page
    searches = page[page.index("What the searches minimised</h2>") :].partition("</section>")[0]
    assert 'class="of-redacted"' in searches
    assert 'class="of-base"' in searches
    worst = page[page.index("Worst sample of each attack</h2>") :]
    assert worst.index("Bypass: plum (conditioning)") < worst.index("Spelling: plum")
    assert worst.count('type="checkbox"') >= 5, "one pair for plain and each attack, blurred"
    assert "attack:Bypass is not higher" not in page


def test_a_family_of_attacks_is_a_curve() -> None:
    def row(name: str, leak: float) -> Any:
        return {"attack": name, "base": 1.0, "redacted": leak}

    rows = [row("Radius-10", 0.9), row("Radius-0.5", 0.1), row("Alone-3", 0.2), row("plain", 0.0)]
    assert _families(rows) == {
        "Radius": {"base": [(0.5, 1.0), (10, 1.0)], "redacted": [(0.5, 0.1), (10, 0.9)]}
    }


def test_suites_are_the_adapters(redacted: Path, tmp_path: Path) -> None:
    assert redact(*arguments(redacted, tmp_path / "out", "--suite", "quick", attacks="")) == 0
    assert set(table(tmp_path / "out")) == {"plain", "Bypass", "Spelling"}
    record = Evidence(tmp_path / "out").manifest["attacks"]["Spelling"]
    assert record["init_args"] == {"word": "fig"}


@pytest.mark.parametrize(
    ("attacks", "more", "message"),
    [
        ("", ["--suite", "huge"], "There is no suite 'huge' for OpenToy; give quick."),
        ("[Nothing]", [], "There is no class Nothing; 'redact ls' lists them."),
        ("[{a: 1, b: 2}]", [], "names no class"),
        ("['toy_attacks.Spelling: {letters: 3}']", [], "toy_attacks.Spelling cannot be made"),
        ("[toy_attacks.Bypass, toy_attacks.Bypass]", [], "Two attacks are called Bypass; keep one."),
        ("[toy_attacks.Bypass, NullText]", [], "needs a tokenizer and a denoiser, OpenToy has none"),
        ("[toy_attacks.Bypass, SimilarVoices]", [], "OpenToy clones no voices from clips"),
        ("[toy_attacks.Bypass, Typographic]", [], "Typographic needs samples that are pictures"),
        (ATTACKS, ["--suite", "quick"], "give one of --suite, --attacks and --replay"),
        (ATTACKS, ["--from", "base"], "give --replay EVIDENCE and --from MODEL together"),
    ],
)
def test_refusals_are_one_line(
    redacted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    attacks: str,
    more: list[str],
    message: str,
) -> None:
    assert redact(*arguments(redacted, tmp_path / "out", *more, attacks=attacks)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_other_attacks_do_not_go_into_begun_evidence(
    redacted: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = ATTACKS.replace("toy_attacks.Spelling", "'toy_attacks.Spelling: {word: fig}'")
    assert redact(*arguments(redacted, whole, attacks=changed)) == 2
    assert "the attack Spelling was" in capsys.readouterr().err


def test_the_leak_is_the_first_rate_that_shall_be_low() -> None:
    metrics = {
        "cer": Metric("mean", "low", None),
        "b": Metric("rate", "high", None),
        "c": Metric("rate", "low", None),
    }
    assert leak_metric(metrics) == "c"
    assert leak_metric({"b": metrics["b"]}) is None
    metrics["d"] = Metric("rate", "low", None, leak=True)
    assert leak_metric(metrics) == "d"  # several shall be low: one is marked
