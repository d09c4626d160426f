"""Damage against distance, and what a model costs: by hand, in the report, and in the card."""

import math
import mmap
from pathlib import Path

import pytest
import torch
from toy_evaluation import PictureToy
from toy_evidence import make

from modalities.text_to_image import StableDiffusion
from redact_core import Metric, Request
from redact_core.evaluation.cost import Meter, costs_of, model_cost, note_sampling
from redact_core.evaluation.damage import damage_curves, slope
from redact_core.reporting.evidence_report import write_report
from redact_core.reporting.report import Report
from redact_core.reporting.sections import add_costs, report_json

METRICS = {"found": Metric("rate", "low", "as base"), "distance to base": Metric("mean", None, "low")}


def rows(harm: dict[float, float]) -> list[dict]:
    """Ten samples at each distance; a share of them is lost."""
    found = []
    for d, (distance, share) in enumerate(harm.items()):
        for k in range(10):
            lost = k < round(10 * share)
            for model, value in (("base", 1.0), ("m", float(not lost))):
                found.append(
                    {"model": model, "index": 10 * d + k, "task": "t", "redacted": False,
                     "labels": {"distance": str(distance)},
                     "scores": {"found": value, "distance to base": 2.0 * lost}}
                )  # fmt: skip
    return found


def test_the_nearest_suffer_most() -> None:
    curves = {c.metric: c for c in damage_curves(rows({0.2: 0.8, 0.4: 0.6, 0.6: 0.4, 0.8: 0.2}), METRICS)}
    curve = curves["found"]
    assert [round(p.distance, 6) for p in curve.points] == [0.2, 0.4, 0.6, 0.8]
    assert [p.damage for p in curve.points] == [0.8, 0.6, 0.4, 0.2]
    assert all(p.n == 10 and p.low <= p.damage <= p.high for p in curve.points)
    assert curve.slope == pytest.approx(-1)
    assert curve.slope_high < 0
    assert [p.damage for p in curves["distance to base"].points] == [1.6, 1.2, 0.8, 0.4]
    flat = damage_curves(rows({0.2: 0.5, 0.8: 0.5}), METRICS)[0]
    assert flat.slope == pytest.approx(0, abs=1e-9)
    assert flat.slope_low < 0 < flat.slope_high


def test_redacted_rows_and_unjudged_ones_are_in_no_curve() -> None:
    some = rows({0.2: 1.0, 0.8: 0.0})
    some += [{**row, "index": 99, "redacted": True} for row in some[:2]]
    some[1]["scores"]["found"] = math.nan
    assert {c.metric: c.n for c in damage_curves(some, METRICS)} == {"found": 19, "distance to base": 20}
    assert damage_curves([{**row, "labels": {}} for row in some], METRICS) == []
    assert all(map(math.isnan, slope([(1.0, 0.0), (1.0, 1.0), (1.0, 0.5)])))


class PlacedToy(PictureToy):
    """Kept words are labelled with a distance: their length's."""

    def plan(self, request: Request, n: int):
        from dataclasses import replace

        return [
            row
            if row.redacted
            else replace(row, labels={**row.labels, "distance": str(len(row.condition) / 10)})
            for row in super().plan(request, n)
        ]


def test_the_report_draws_the_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toy_evidence.PictureToy", PlacedToy)
    evidence = make(tmp_path / "out", "redacting", "redacting everything")
    write_report(evidence, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "redacting_everything: Damage against distance" in text
    assert text.count("damage by distance</title>") == 4
    curves = {(c["model"], c["metric"]): c for c in report_json(evidence)["curves"]}
    # what redacts everything harms all alike, what redacts well harms nobody
    everything, well = (curves[m, "found"] for m in ("redacting_everything", "redacting"))
    assert [p["damage"] for p in everything["points"]] == [1.0] * len(everything["points"])
    assert [p["damage"] for p in well["points"]] == [0.0] * len(well["points"])


def test_the_bundled_plan_places_what_stays() -> None:
    plan = StableDiffusion("bundled").plan(Request(("cigarette",), ("lollipop",)), 12)
    kept = [row for row in plan if not row.redacted]
    assert all("distance" in row.labels for row in kept)
    assert not any("distance" in row.labels for row in plan if row.redacted)
    near = [float(r.labels["distance"]) for r in kept if r.group == "neighbours"]
    assert {int(r.labels["rank"]) for r in kept if r.group == "neighbours"} == set(range(1, 11))
    far = [float(r.labels["distance"]) for r in kept if int(r.labels["rank"]) > 10]
    assert max(near) <= min(far)


def test_costs_are_counted(tmp_path: Path) -> None:
    folders = []
    for name, change in (("stock", 0.0), ("no_plum", 1.0)):
        model = PictureToy()
        with torch.no_grad():
            model.encoder.get_parameter("embedding.weight")[ord("m")] += change
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        model.save(folders[-1])
    base, other = (PictureToy().reopen(folder) for folder in folders)
    cost = model_cost(other, base, {"seconds": 3.0})
    size = (folders[0] / "encoder.safetensors").stat().st_size
    assert (cost.changed, cost.changed_bytes, cost.bytes, cost.training) == (8, size, size, {"seconds": 3.0})
    assert model_cost(base, base).changed == model_cost(base, base).changed_bytes == 0
    evidence = make(tmp_path / "out", "redacting", n=4)
    for model, seconds, peak in (("base", 2.0, 5.0), ("base", 4.0, math.nan), ("redacting", 12.0, 7.0)):
        meter = Meter()
        meter.seconds, meter.peak_bytes = seconds, peak
        note_sampling(evidence, model, 0, 3, meter)
    first, second = costs_of(evidence)
    assert (first["seconds_per_sample"], first["peak_bytes"], first["slower"]) == (1.0, 5.0, 1.0)
    assert (second["seconds_per_sample"], second["slower"], second["samples"]) == (4.0, 4.0, 3)


@pytest.mark.parametrize("names", [("what", "interval"), ("low", "high")])
def test_a_model_may_have_the_name_of_a_column(names: tuple[str, str]) -> None:
    report = Report("t", "")
    add_costs(report, [{"model": name, "parameters": 11 + i} for i, name in enumerate(names)])
    page = report.html()
    assert all(text in page for text in (*names, "Encoder parameters", "11", "12"))
    row = page[page.index("Encoder parameters") :].partition("</tr>")[0]
    assert row.index("11") < row.index("12")


def test_the_meter_sees_what_a_block_allocates() -> None:
    with Meter() as small:
        pass
    # Pages fresh from the kernel: what an allocator still holds is resident already.
    with Meter() as large, mmap.mmap(-1, 120_000_000) as block:
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
    assert large.seconds > small.seconds > 0
    if not math.isnan(small.peak_bytes):  # on Linux
        assert large.peak_bytes - small.peak_bytes > 60_000_000
