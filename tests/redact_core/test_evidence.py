"""Figures from evidence: intervals, what could not be judged, and saboteurs that must be called out."""

import json
import math
from pathlib import Path

import pytest
import torch
from toy_evaluation import PictureToy, WordScorer
from toy_evidence import CONDUCT, make

from redact_core import Metric, RedactError, Request, Scorer, Trial
from redact_core.adapters.fingerprint import fingerprint
from redact_core.evaluation.cost import Meter, costs_of, note_sampling
from redact_core.evaluation.evidence import BASE, Evidence, begin
from redact_core.evaluation.scoring import score
from redact_core.evaluation.summarise import findings, summarise
from redact_core.metrics.scorer import checked_scores
from redact_core.metrics.statistics import bootstrap_mean, paired_bootstrap
from redact_core.reporting.evidence_report import write_evidence_summary, write_report
from redact_core.support.jsonl import LineWriter, first_line, read_lines


@pytest.mark.parametrize(
    ("mode", "called_out"),
    [
        ("redacting", set()),
        ("untouched", {("redacted", "found"), ("redacted", "reference found")}),
        ("noise", {("redacted", "reference found"), ("retained", "found"), ("retained", "distance")}),
        ("deaf", {("redacted", "reference found"), ("retained", "found"), ("retained", "distance")}),
        ("redacting everything", {("retained", "found"), ("retained", "distance")}),
    ],
)
def test_saboteurs_are_called_out_by_the_measure_meant_for_them(
    tmp_path: Path, mode: str, called_out: set[tuple[str, str]]
) -> None:
    said = findings(write_evidence_summary(make(tmp_path / "out", mode)), WordScorer.metrics)
    found = {
        (group, metric)
        for group in ("redacted", "retained")
        for metric in ("found", "reference found", "distance")
        if any(f", {group}: {metric} is" in text for text in said)
    }
    assert found == called_out
    assert len(said) == len(found)


def test_the_paired_bootstrap_is_what_one_computes_by_hand() -> None:
    """With differences 0 and 1 a resample has the mean 0, 1/2 or 1 with 1/4, 1/2, 1/4: 95 % take all."""
    assert paired_bootstrap([1.0, 1.0], [1.0, 0.0]) == (0.5, 0.0, 1.0, 2)
    # every resample of equal differences has the same mean
    assert paired_bootstrap([3.0, 2.0, 1.0], [2.5, 1.5, 0.5]) == (0.5, 0.5, 0.5, 3)
    # binomial: of 100 differences 10 are 1; the 2.5 % and 97.5 % quantiles of B(100, 0.1) are 5 and 16
    gap = paired_bootstrap([1.0] * 100, [0.0] * 10 + [1.0] * 90, draws=20_000)
    assert (gap.value, gap.n) == (pytest.approx(0.1), 100)
    assert abs(gap.low - 0.05) < 0.011
    assert abs(gap.high - 0.16) < 0.011
    # paired, not of two samples: a large spread that both share does not widen it
    spread = [float(i) for i in range(50)]
    assert paired_bootstrap(spread, [v - 1 for v in spread]) == (1.0, 1.0, 1.0, 50)
    assert paired_bootstrap([1.0] * 9, [0.5] * 9, seed=1) == paired_bootstrap([1.0] * 9, [0.5] * 9, seed=1)
    with pytest.raises(ValueError, match="shorter"):
        paired_bootstrap([1.0, 2.0], [1.0])


def test_what_could_not_be_judged_is_in_no_average() -> None:
    nan = math.nan
    assert paired_bootstrap([nan, 1.0, 1.0], [0.0, nan, 0.0]) == (1.0, 1.0, 1.0, 1)
    assert paired_bootstrap([nan], [0.0]).n == 0
    assert bootstrap_mean([0.1] * 7).low == bootstrap_mean([0.1] * 7).value
    rows = [
        {"model": model, "index": i, "task": "t", "group": "g", "redacted": False, "scores": {"f": value}}
        for model, values in (("base", [1.0, 1.0, nan, 1.0]), ("r", [1.0, nan, 0.0, 0.0]))
        for i, value in enumerate(values)
    ]
    metrics = {"f": Metric("rate", "low", "as base"), "absent": Metric("mean", None, None)}
    (row,) = summarise(rows, metrics)
    assert (row["base"], row["redacted"], row["n"]) == (1.0, 1 / 3, 3)
    assert (row.get("unscored"), row.get("difference")) == (1, 0.5)
    assert findings([row], metrics) == ["r, t, g: f could not be judged in 1 samples."]


class Faulty(Scorer):
    metrics = {"found": Metric("rate", "low", "as base")}  # noqa: RUF012

    def __init__(self, answer: list[dict[str, float]]):
        self.answer = answer

    def read(self, path: Path) -> torch.Tensor:
        if path.name == "bad":
            raise RedactError("no")
        return torch.zeros(1)

    def score(self, samples: object, rows: object) -> list[dict[str, float]]:
        return self.answer


def test_scorers_are_held_to_their_word() -> None:
    row = PictureToy().plan(Request(("plum",)), 1)[0]
    trials = [Trial(row, "m", Path(name), Path("b")) for name in ("good", "bad")]
    (good, bad) = checked_scores(Faulty([{"found": 1.0}]), trials)
    assert good == {"found": 1.0}
    assert math.isnan(bad["found"])
    for answer, message in (
        ([], "Faulty gave 0 scores for 1 samples"),
        ([{"lost": 1.0}], "'lost', which is none of its metrics"),
        ([{"found": 0.5}], "found = 0.5; give 0, 1 or nan"),
        ([{"found": math.inf}], "found = inf"),
    ):
        with pytest.raises(RedactError, match=message):
            checked_scores(Faulty(answer), trials)


def test_scorers_with_the_same_metrics_are_refused(tmp_path: Path) -> None:
    evidence = make(tmp_path / "out", "redacting", n=8)
    with pytest.raises(RedactError, match="WordScorer and Faulty share the metric 'found'; keep one"):
        score(evidence, [WordScorer(), Faulty([])], [{}, {}])
    with pytest.raises(RedactError, match="No scorer was named"):
        score(evidence, [], [])


def test_a_changed_sample_is_named(tmp_path: Path) -> None:
    evidence = make(tmp_path / "out", "redacting", n=8)
    path = evidence.folder / evidence.rows()[3]["sample"]
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(RedactError, match=r"samples/base/000003\.png was changed; restore it"):
        write_report(evidence, tmp_path / "report.html")
    with pytest.raises(RedactError, match=r"samples/base/000003\.png was changed; restore it"):
        score(evidence, [WordScorer()], [{}])  # although it was judged before
    path.unlink()
    with pytest.raises(RedactError, match=r"samples/base/000003\.png is missing; restore it"):
        write_report(evidence, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
    (evidence.folder / "plan.jsonl").write_text("")
    with pytest.raises(RedactError, match="it holds no rows"):
        Evidence(evidence.folder)


def test_rows_that_are_cut_off_are_said(tmp_path: Path) -> None:
    evidence = make(tmp_path / "e", "redacting", n=4)
    path = evidence.folder / "rows.jsonl"
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], bytes(len(data))):
        path.write_bytes(damaged)
        with pytest.raises(RedactError, match=r"rows\.jsonl is cut off; write it anew with redact score"):
            evidence.rows()


def test_who_judged_is_read_without_the_scores(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    assert first_line(path) is None
    path.write_bytes(b'{"scorer": "a"}\nno JSON\n')
    assert first_line(path) == {"scorer": "a"}
    with pytest.raises(RedactError, match=r"scores\.jsonl line 2 is damaged"):
        read_lines(path)
    path.write_bytes(b'{"scorer": "a"}')
    assert first_line(path) is None, "its writer was killed"
    path.write_bytes(b"[]\n")
    with pytest.raises(RedactError, match=r"scores\.jsonl line 1 is no JSON object"):
        first_line(path)


def test_costs_that_are_damaged_are_said(tmp_path: Path) -> None:
    evidence = make(tmp_path / "e", "redacting", n=4)
    path = evidence.folder / "costs" / "models.json"
    path.parent.mkdir(exist_ok=True)
    for damaged in ("{", "[1]", '{"base": 3}'):
        path.write_text(damaged)
        with pytest.raises(RedactError, match=r"models\.json .*restore it, or remove it to do without"):
            write_report(evidence, tmp_path / "report.html")


def test_lines_survive_a_cut_and_have_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": ')
    assert read_lines(path) == [{"a": 1}]
    with LineWriter(path) as lines:
        lines.append([{"a": math.nan}])
        with pytest.raises(RedactError, match="is being written by another process"):
            LineWriter(path)
    assert read_lines(path) == [{"a": 1}, {"a": None}]
    path.write_bytes(b'{"a": 1\n{"a": 2}\n')
    with pytest.raises(RedactError, match="line 1 is damaged"):
        read_lines(path)


def test_what_a_model_noted_of_a_request_is_no_setting(tmp_path: Path) -> None:
    model, plan = PictureToy(), PictureToy().plan(Request(("plum",)), 2)
    before = fingerprint(model)
    model.remarks, model.chosen_references = ("Look at this.",), ("fig (chosen, at 0.7)",)
    assert fingerprint(model) == before
    # as versions wrote it that took it for settings
    old = {
        **before,
        "settings": {**before["settings"], "remarks": ["Look at that."], "chosen_references": ["fig"]},
    }
    begin(tmp_path / "evidence", plan, {BASE: old}, CONDUCT)
    begin(tmp_path / "evidence", plan, {BASE: before}, CONDUCT)
    with pytest.raises(RedactError, match=r"base has other settings \(delay\)"):
        begin(tmp_path / "evidence", plan, {BASE: fingerprint(PictureToy(delay=1.0))}, CONDUCT)


def test_the_fingerprint_sees_weights_files_and_settings(tmp_path: Path) -> None:
    first, second = PictureToy(), PictureToy(delay=1.0)
    assert fingerprint(first) == fingerprint(PictureToy())
    assert fingerprint(first)["settings"] != fingerprint(second)["settings"]
    first.sentences = ("one", "two")  # type: ignore[attr-defined]
    assert json.loads(json.dumps(fingerprint(first))) == fingerprint(first), "as a file gives it back"
    del first.sentences  # type: ignore[attr-defined]
    with torch.no_grad():
        second.encoder.get_parameter("mix")[0, 0] += 1e-6
    assert fingerprint(first)["encoder"] != fingerprint(second)["encoder"]
    first.save(tmp_path)
    assert list(fingerprint(first.reopen(tmp_path))["files"]) == ["encoder.safetensors"]


def named_alike(folder: Path) -> Evidence:
    """Two models of which the one's name begins the other's; only the second has answered."""
    models = {"base": PictureToy(), "cig": PictureToy("redacting"), "cig.robust": PictureToy("noise")}
    plan = models["base"].plan(Request(("plum",)), 2)
    evidence = begin(folder, plan, {name: fingerprint(model) for name, model in models.items()}, CONDUCT)
    model = models["cig.robust"]
    with evidence.writer(model, "cig.robust", 0) as writer:
        writer.write(range(4), model.generate([r.condition for r in plan], seeds=[r.seed for r in plan]))
    meter = Meter()
    with meter:
        pass
    note_sampling(evidence, "cig.robust", 0, 4, meter)
    return evidence


def test_a_name_that_begins_another_gets_none_of_its_samples_and_costs(tmp_path: Path) -> None:
    evidence = named_alike(tmp_path / "e")
    assert evidence.samples("cig") == {}
    assert [sample for sample, _ in evidence.samples("cig.robust").values()] == [
        f"samples/cig.robust/00000{i}.png" for i in range(4)
    ]
    assert [cost["model"] for cost in costs_of(evidence)] == ["cig.robust"]


def test_evidence_of_the_former_layout_is_read_as_it_was_meant(tmp_path: Path) -> None:
    folder = named_alike(tmp_path / "e").folder
    for kept, former in (("parts", "parts"), ("costs/sampling", "costs")):
        (folder / kept / "cig.robust" / "0.jsonl").rename(folder / former / "cig.robust.0.jsonl")
    manifest = json.loads((folder / "evidence.json").read_text()) | {"schema": 1}
    (folder / "evidence.json").write_text(json.dumps(manifest))
    evidence = Evidence(folder)
    assert evidence.samples("cig") == {}
    assert len(evidence.samples("cig.robust")) == 4
    assert [cost["model"] for cost in costs_of(evidence)] == ["cig.robust"]
    (folder / "evidence.json").write_text(json.dumps(manifest | {"schema": 3}))
    with pytest.raises(RedactError, match="another schema than 1 and 2; update redact"):
        Evidence(folder)
