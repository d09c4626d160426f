"""Measures of whole groups: distances by hand, intervals, and saboteurs that each must call out."""

import json
import math
import sys
from pathlib import Path

import pytest
import scipy.linalg
import torch
from saboteurs import ColourJudge, answer, picture
from torch import Tensor
from toy_distance import ToyDistance
from toy_evaluation import PictureToy, WordScorer
from toy_evidence import make

from lightning_modules.cli import main as cli
from lightning_modules.comparison.bench import Bench
from lightning_modules.evaluation.judges import Judges
from modalities.text_to_image.metrics import inception_distances
from modalities.text_to_image.metrics.feature_distances import GraderFeatureDistances
from modalities.text_to_image.metrics.inception_distances import InceptionDistances
from redact_core import Group, Metric, PlanRow, RedactError, Request, SetScorer
from redact_core.evaluation.figures import all_metrics
from redact_core.evaluation.set_scoring import figure, halves, score_sets, set_rows
from redact_core.evaluation.summarise import findings
from redact_core.evaluation.summary import read_summary
from redact_core.metrics.distances import frechet_distance, kernel_distance
from redact_core.metrics.statistics import auroc, equal_error_rate, jackknife_blocks, jackknife_error
from redact_core.reporting.evidence_report import write_evidence_summary, write_report
from redact_core.reporting.sections import report_json


def test_the_frechet_distance_is_that_of_the_matrix_root() -> None:
    generator = torch.Generator().manual_seed(0)
    for n, m, dim in ((50, 40, 6), (5, 7, 12), (30, 4, 12)):
        a = torch.randn(n, dim, generator=generator, dtype=torch.float64)
        b = 0.5 + 2 * torch.randn(m, dim, generator=generator, dtype=torch.float64)
        covariances = [x.T.cov().numpy() for x in (a, b)]
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
        wanted = (a.mean(0) - b.mean(0)).square().sum().item() + sum(c.trace() for c in covariances)
        # a root of a singular matrix is good to about half the digits
        assert frechet_distance(a, b) == pytest.approx(wanted - 2 * root.trace(), rel=1e-4)
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_is_unbiased_and_by_hand() -> None:
    # k(x, y) = (xy + 1)^3: within {0, 1} the only pair has 1, between are 1, 1, 1, 8
    assert kernel_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0]])) == 1 + 1 - 2 * 11 / 4
    generator = torch.Generator().manual_seed(0)
    drawn = [kernel_distance(*torch.randn(2, 20, 4, generator=generator)) for _ in range(200)]
    assert abs(sum(drawn) / 200) < 3 * torch.tensor(drawn).std().item() / math.sqrt(200)


def test_jackknife_auroc_and_equal_error_rate() -> None:
    blocks = jackknife_blocks(10)
    assert [len(b) for b in blocks] == [8] * 5
    assert all(int((b % 2).sum()) == 4 for b in blocks)  # both halves lose alike
    assert jackknife_blocks(3) == []
    # of a mean, the jackknife over single rows is the textbook's standard error
    x = torch.randn(30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left = [(x.sum() - v).item() / 29 for v in x]
    assert jackknife_error(left) == pytest.approx(x.std().item() / math.sqrt(30))
    high, low = torch.tensor([0.7, 0.8, 0.9]), torch.tensor([0.1, 0.2, 0.3])
    assert (auroc(high, low), auroc(low, high), auroc(low, low)) == (1, 0, 0.5)
    assert (equal_error_rate(high, low), equal_error_rate(low, high)) == (0, 1)


class Same(ToyDistance):
    """Calls its distance what the scorer of single samples calls one of its figures."""

    metrics = {"distance": Metric("set", None, "at most base")}  # noqa: RUF012


class Reserved(ToyDistance):
    metrics = {"inappropriate probability": Metric("set", None, "at most base")}  # noqa: RUF012


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (Same, "WordScorer and Same share the metric 'distance'; keep one or rename it"),
        (
            Reserved,
            "the report and Reserved share the metric 'inappropriate probability'; keep one or rename it",
        ),
    ],
)
def test_a_metric_that_would_hide_a_scorers_is_refused_before_anything_is_drawn(
    tmp_path: Path, judge: type[SetScorer], message: str
) -> None:
    with pytest.raises(RedactError, match=rf"^The judges cannot be used together: {message}$"):
        Judges([WordScorer()], [{}], [judge()], [{}])
    evidence = make(tmp_path / "out", "redacting", n=8)
    with pytest.raises(RedactError, match=rf"^The set scorers cannot be used together: {message}$"):
        score_sets(evidence, [judge()], [{}])
    assert not (tmp_path / "out" / "sets").exists()


def test_figures_of_a_comparison_are_not_hidden() -> None:
    class Found(ToyDistance):
        metrics = {"found": Metric("set", None, "at most base")}  # noqa: RUF012

    with pytest.raises(
        RedactError, match="the comparison and Found share the metric 'found'; keep one or rename"
    ):
        Bench(
            PictureToy, WordScorer(), lambda *_: Request(("plum",)), {}, n=4, n_attacked=2, set_scorer=Found()
        )


@pytest.mark.parametrize(
    ("mode", "called_out"),
    [("redacting", False), ("untouched", False), ("noise", True), ("deaf", True), ("redacting everything", True)],
)  # fmt: skip
def test_saboteurs_move_what_shall_stay(tmp_path: Path, mode: str, called_out: bool) -> None:
    evidence = make(tmp_path / "out", mode, n=40)
    score_sets(evidence, [ToyDistance()], [{"class_path": "toy_distance.ToyDistance", "init_args": {}}])
    said = findings(write_evidence_summary(evidence), all_metrics(evidence))
    assert any("retained: pixel distance is higher than in the base" in text for text in said) == called_out
    (row,) = (r for r in set_rows(evidence) if r["group"] == "retained")
    assert (row.get("kind"), row["n"], row.get("others")) == ("set", 20, 20)
    if mode == "untouched":
        assert (row.get("difference"), row.get("difference_low")) == (0, 0)
        assert row["redacted"] == row["base"]
    write_report(evidence, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Compared with" in text
    assert report_json(evidence)["metrics"]["pixel distance"]["kind"] == "set"


def test_figures_are_kept_and_made_again_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "no_plum"
    model.mkdir()
    PictureToy().save(model)

    def redact(*given: object) -> int:
        monkeypatch.setattr(sys, "argv", ["redact", *map(str, given)])
        return cli.main()

    out = tmp_path / "out"
    assert redact(
        "evaluate", "--base", "toy_evaluation.PictureToy", "--redacted", model, "--out", out, "--redact", "plum",
        "--n", 8, "--batch_size", 4, "--set_scorers+=toy_distance.ToyDistance", "--trainer.accelerator", "cpu",
        "--trainer.enable_progress_bar", "false",
    ) == 0  # fmt: skip
    first = (out / "summary.json").read_bytes()
    assert {row["metric"] for row in read_summary(out / "summary.json")} >= {"pixel distance", "found"}
    made = (out / "sets" / "ToyDistance.json").stat().st_mtime_ns
    assert redact("score", out) == 0
    assert (out / "sets" / "ToyDistance.json").stat().st_mtime_ns == made
    assert (out / "summary.json").read_bytes() == first
    assert redact("report", out) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["schema"] == 1
    assert report["rows"] == read_summary(out / "summary.json")
    costs = {cost["model"]: cost for cost in report["costs"]}
    assert costs["base"]["samples"] == costs["no_plum"]["samples"] == 16
    assert costs["base"]["slower"] == 1
    assert costs["no_plum"]["changed"] == 0
    assert costs["no_plum"]["seconds_per_sample"] > 0
    assert "Seconds a sample" in (out / "report.html").read_text()


def _group(model: str) -> tuple[list[Tensor], list[PlanRow]]:
    rows = [PlanRow("x", "retained", "t", i, False, {"concept": ("sun", "cow")[i % 2]}) for i in range(40)]
    samples = []
    for i, row in enumerate(rows):
        concept = answer(model, row, "concept", "dog")
        noise = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(i))
        samples.append(noise if concept is None else picture(concept, "plain", i))
    return samples, rows


@pytest.mark.parametrize(("mode", "worse"), [("untouched", False), ("noise", True), ("deaf", True)])
@pytest.mark.parametrize("kind", ["grader", "inception"])
def test_feature_distances_call_out_saboteurs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, worse: bool, kind: str
) -> None:
    monkeypatch.setattr(
        "modalities.text_to_image.metrics.feature_distances.Judge", lambda folder: ColourJudge()
    )
    real = tmp_path / "real"
    real.mkdir()
    for i, sample in enumerate(_group("untouched")[0][:30]):
        PictureToy().write_sample(sample, real / str(i))
    if kind == "grader":
        scorer: SetScorer = GraderFeatureDistances(real)
    else:
        (tmp_path / "weights.pth").write_bytes(b"")
        monkeypatch.setattr(inception_distances, "inception", lambda weights: StandInNetwork())
        scorer = InceptionDistances(tmp_path / "weights.pth", real)
    (base, rows), (own, _) = _group("untouched"), _group(mode)
    embedded = [_embed(scorer, samples, tmp_path / name) for name, samples in (("b", base), ("o", own))]
    figures = figure(Group(rows, embedded[1], embedded[0], halves(40)), scorer)
    assert list(figures) == list(scorer.metrics)
    for name, row in figures.items():
        assert (row["n"], row["others"]) == ((40, 30) if "real" in name else (20, 20))
        assert row["difference_high"] is not None
        assert (row["difference_high"] < 0) == worse, name
    assert all("FID" not in name and "KID" not in name for name in figures) == (kind == "grader")


class StandInNetwork(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.uint8
        return ColourJudge()(list(x / 255)).features


def _embed(scorer: SetScorer, samples: list[Tensor], folder: Path) -> Tensor:
    folder.mkdir()
    return scorer.embed([PictureToy().write_sample(s, folder / str(i)) for i, s in enumerate(samples)])


def test_unreadable_pictures_are_counted_and_missing_weights_are_said(tmp_path: Path) -> None:
    scorer = GraderFeatureDistances()
    (tmp_path / "bad.png").write_bytes(b"no")
    good = PictureToy().write_sample(torch.rand(3, 8, 8), tmp_path / "good")
    vectors = scorer.embed([good, tmp_path / "bad.png"])
    assert vectors.isfinite().all(1).tolist() == [True, False]
    rows = [PlanRow("x", "g", "t", i, False) for i in range(2)]
    assert figure(Group(rows, vectors, vectors, torch.tensor([False, True])), scorer) == {}
    with pytest.raises(RedactError, match=r"There is no file .*give the Inception weights"):
        InceptionDistances(tmp_path / "none.pth")
    with pytest.raises(RedactError, match="holds 1 pictures; give at least two"):
        (tmp_path / "one").mkdir()
        good.rename(tmp_path / "one" / "a.png")
        GraderFeatureDistances(tmp_path / "one")
