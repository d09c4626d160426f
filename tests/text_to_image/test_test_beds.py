"""Loaders of published prompt files, and the figures of the test bed; all rows are made up."""

import json
import math
from itertools import combinations
from pathlib import Path

import pytest
import torch

from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.test_beds import (
    Captions,
    InappropriatePrompts,
    PairedPrompts,
    SafeAndUnsafe,
    StylesAndObjects,
    may_concern_minors,
)
from redact_core import PlanRow, RedactError
from redact_core.adapters.contract import ToyAdapter
from redact_core.evaluation.inappropriateness import MAXIMUM, PROBABILITY, expected_maximum, inappropriateness

HEADER = "prompt,categories,hard,sd_seed,sd_guidance_scale,sd_image_width,sd_image_height,sd_model\n"


def bed(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "bed.csv"
    path.write_text(HEADER + "".join(line + "\n" for line in lines))
    return path


def test_the_published_columns_are_followed(tmp_path: Path) -> None:
    path = bed(
        tmp_path, '"a loud storm, at sea","noise, weather",1,12,7,512,768,x', "a bell,noise,0,,255,,,x"
    )
    rows = InappropriatePrompts(path).rows()
    assert len(rows) == 20
    assert [row.seed for row in rows[:10]] == list(range(12, 22))
    assert rows[3] == PlanRow(
        "a loud storm, at sea", "inappropriate", "test bed", 15, True,
        {"prompt": "0", "categories": "noise, weather", "picture": "3", "guidance": "7", "width": "512", "height": "768"},
    )  # fmt: skip
    # a guidance of 255 is a slip of the pen; an empty seed is the next free one
    assert rows[10].labels == {"prompt": "1", "categories": "noise", "picture": "0"}
    assert rows[10].seed == 10
    plain = InappropriatePrompts(path, n=1, pictures=2, settings="adapter").rows()
    assert [set(row.labels) for row in plain] == [{"prompt", "categories", "picture"}] * 2
    with pytest.raises(RedactError, match="takes no guidance and no height and no width of single rows"):
        ToyAdapter().generate_rows(rows[:1])


@pytest.mark.parametrize(
    "text",
    ["a Teenager in rain", "two kids", "a 16-year-old", "aged 9", "12yo", "twelve years old", "her daughter",
     "a school-boy and a schoolboy", "a young man"],
)  # fmt: skip
def test_rows_that_may_concern_minors_are_left_out(tmp_path: Path, text: str) -> None:
    path = bed(tmp_path, f"{text},weather,0,1,7,512,512,x", "a storm,weather,0,2,7,512,512,x")
    source = InappropriatePrompts(path)
    assert {row.condition for row in source.rows()} == {"a storm"}
    assert source.left_out == 1
    assert "1 row" in source.note
    only = bed(tmp_path, f"{text},weather,0,1,7,512,512,x")
    with pytest.raises(RedactError, match="holds no rows that may be used"):
        InappropriatePrompts(only).rows()


def test_minors_cannot_be_let_in_and_others_are_not_left_out() -> None:
    import inspect

    for source in (InappropriatePrompts, Captions, StylesAndObjects, PairedPrompts, SafeAndUnsafe):
        assert not [n for n in inspect.signature(source).parameters if "minor" in n or "filter" in n]
    for text in (
        "a kidney pie",
        "a boycott",
        "30 years old",
        "aged 45",
        "a school bus",
        "teapot",
        "a 1970s car",
    ):
        assert not may_concern_minors(text), text


def test_captions_pairs_and_canvas(tmp_path: Path) -> None:
    captions = tmp_path / "captions.csv"
    captions.write_text("image_id,prompt,evaluation_seed\n1,a red bus,77\n2,a boat,\n")
    rows = Captions(captions).rows()
    assert [(r.condition, r.group, r.seed, r.redacted) for r in rows] == [
        ("a red bus", "captions", 77, False), ("a boat", "captions", 1, False),
    ]  # fmt: skip
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("prompt,paired_prompt,concept,seed\na cat on a mat,a mat,cat,5\n")
    rows = PairedPrompts(pairs).rows()
    assert [(r.condition, r.group, r.seed, r.redacted) for r in rows] == [
        ("a cat on a mat", "with", 5, True), ("a mat", "without", 5, False),
    ]  # fmt: skip
    assert rows[0].labels == {"pair": "0", "concept": "cat"}
    visu = tmp_path / "visu.jsonl"
    visu.write_text(json.dumps({"safe": "a quiet sea", "nsfw": "a loud sea"}) + "\n")
    assert [(r.condition, r.redacted) for r in SafeAndUnsafe(visu).rows()] == [
        ("a loud sea", True),
        ("a quiet sea", False),
    ]
    canvas = tmp_path / "canvas.csv"
    canvas.write_text("prompt,style,object\na cat in ink style,Ink,cat\na dog in oil style,Oil,dog\n")
    gone, kept = StylesAndObjects(canvas, style="ink").rows()
    assert (gone.group, gone.redacted, gone.labels["kind"]) == ("redacted", True, "style")
    assert (kept.group, kept.redacted, kept.labels["kind"]) == ("kept styles", False, "concept")
    assert [r.redacted for r in StylesAndObjects(canvas, object="dog").rows()] == [False, True]


def test_faulty_files_are_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,categories\nx,y\n")
    with pytest.raises(
        RedactError, match=r"has no column prompt; InappropriatePrompts needs prompt, categories"
    ):
        InappropriatePrompts(tmp_path / "a.csv").rows()
    with pytest.raises(RedactError, match=r"There is no file .*none\.csv; check the path"):
        Captions(tmp_path / "none.csv").rows()
    (tmp_path / "b.csv").write_text("prompt,seed\nx,soon\n")
    with pytest.raises(RedactError, match="seed is 'soon'; give a number"):
        Captions(tmp_path / "b.csv").rows()
    with pytest.raises(RedactError, match="Give either the style or the object"):
        StylesAndObjects(tmp_path / "b.csv")


def test_the_expected_maximum_by_hand() -> None:
    shares = [0.0, 0.1, 0.5, 1.0]
    pairs = [max(pair) for pair in combinations(shares, 2)]  # all draws of two, equally likely
    found = expected_maximum(shares, prompts=2)
    mean = sum(pairs) / len(pairs)  # 0.6833
    deviation = math.sqrt(sum((x - mean) ** 2 for x in pairs) / len(pairs))
    assert found.value == pytest.approx(mean, abs=3 * deviation / 100)
    assert found.deviation == pytest.approx(deviation, abs=0.01)
    assert expected_maximum(shares) == (1.0, 0.0)  # 25 of 4 are all of them
    # one bad prompt of 100: it is among 25 with probability 1/4
    assert expected_maximum([0.0] * 99 + [0.8]).value == pytest.approx(0.2, abs=0.02)
    assert math.isnan(expected_maximum([]).value)
    assert expected_maximum(shares, 2) == expected_maximum(shares, 2)


def test_figures_by_category_by_hand() -> None:
    """Two prompts of four pictures; the second is in both categories."""
    detections = {"base": ([1, 1, 1, 0], [1, 0, 0, 0]), "m": ([1, 0, 0, 0], [0, 0, 0, math.nan])}
    categories = ("noise", "noise, weather")
    rows = [
        {"model": model, "index": 4 * p + k, "labels": {"prompt": str(p), "categories": categories[p]},
         "scores": {"unsafe": value}}
        for model, prompts in detections.items() for p, values in enumerate(prompts) for k, value in enumerate(values)
    ]  # fmt: skip
    found = {(r["group"], r["metric"]): r for r in inappropriateness(rows)}
    overall = found["all categories", PROBABILITY]
    assert (overall["base"], overall["redacted"], overall["n"]) == (0.5, 0.125, 2)
    assert overall.get("difference") == 0.375
    assert found["noise", PROBABILITY]["redacted"] == 0.125
    assert found["weather", PROBABILITY]["base"] == 0.25
    assert found["weather", PROBABILITY]["redacted"] == 0.0
    assert (found["noise", MAXIMUM]["base"], found["noise", MAXIMUM]["redacted"]) == (0.75, 0.25)
    assert found["noise", MAXIMUM]["low"] == 0.25
    assert inappropriateness([{**row, "labels": {}} for row in rows]) == []


def test_rows_are_sampled_with_their_own_guidance_and_size(tiny_sd: Path) -> None:
    model = StableDiffusion(str(tiny_sd), steps=2)
    plain = PlanRow("a cat", "g", "t", 3, False)
    labels = [{}, {"guidance": "1.5"}, {"height": "24", "width": "32"}, {}]
    rows = [PlanRow("a cat", "g", "t", 3, False, each) for each in labels]
    first, second, third, fourth = model.generate_rows(rows)
    assert torch.allclose(first, fourth, atol=1e-5)
    assert torch.allclose(first, model.generate(["a cat"], seeds=[3])[0], atol=1e-5)
    assert not torch.allclose(first, second, atol=1e-3)
    assert third.shape == (3, 24, 32)
    other = StableDiffusion(str(tiny_sd), steps=2, guidance=1.5).generate_rows([plain])[0]
    assert torch.allclose(second, other, atol=1e-5)
    with pytest.raises(RedactError, match="label width is 30; give a multiple of 8"):
        model.generate_rows([PlanRow("a", "g", "t", 0, False, {"width": "30"})])
