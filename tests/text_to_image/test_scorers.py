"""The scorers of both modalities with stand-ins for their networks: every saboteur is called out."""

import math
from pathlib import Path

import pytest
import soundfile
import torch
from saboteurs import ColourJudge, answer, called_out, picture, png, prompt
from torch import Tensor

from modalities.picture_files import read_picture
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from modalities.text_to_speech.judges.judge import VoiceSimilarity
from modalities.text_to_speech.judges.sound_files import read_sound
from modalities.text_to_speech.metrics.recogniser_scorer import RecogniserScorer
from modalities.text_to_speech.metrics.voice_scorer import VoiceScorer
from modalities.text_to_speech.voices import planning
from redact_core import PlanRow, RedactError, Request, Trial
from redact_core.evaluation.evidence import BASE


class StandInVoices:
    """Waves are constant: the level says whose voice it is."""

    VOICES = ("ann", "bea", "cyd", "dot", "eve")

    def __call__(self, samples: list[Tensor]) -> VoiceSimilarity:
        levels = torch.stack([wave.mean() for wave in samples])
        rough = torch.stack([wave.std() for wave in samples]) > 0.05
        gap = (levels[:, None] - torch.arange(1.0, 6.0) / 8).abs()
        return VoiceSimilarity(
            torch.where(rough[:, None], 0.1 * torch.rand(len(samples), 5), 1 - gap), list(self.VOICES)
        )


class StandInRecogniser:
    def read(self, wave: Tensor) -> str:
        return "good morning" if wave.std() < 0.05 else "xq"


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("redacting", set()),
        ("untouched", {("redacted", "found"), ("redacted", "reference found")}),
        ("noise", {("redacted", "reference found"), ("retained", "found"), ("retained", "grader-feature distance")}),
        ("deaf", {("redacted", "reference found"), ("retained", "found"), ("retained", "grader-feature distance")}),
        ("redacting everything", {("retained", "found"), ("retained", "grader-feature distance")}),
    ],
)  # fmt: skip
def test_the_grader_calls_out_saboteurs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str, wanted: set[tuple[str, str]]
) -> None:
    monkeypatch.setattr("modalities.text_to_image.metrics.grader_scorer.Judge", lambda folder: ColourJudge())
    plan = [prompt("cat", i, True) for i in range(20)]
    plan += [prompt(("sun", "cow")[i % 2], 20 + i, False) for i in range(20)]
    answers: dict[str, list[Path]] = {BASE: [], mode: []}
    for model, paths in answers.items():
        for i, row in enumerate(plan):
            concept = answer("untouched" if model == BASE else mode, row, "concept", "dog")
            noise = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(i))
            sample = noise if concept is None else picture(concept, row.labels["style"], i)
            paths.append(png(sample, tmp_path / f"{model}{i}.png"))
    found = called_out(tmp_path, GraderScorer(), plan, answers)
    assert {(group, name) for group, name in found if name != "rest found"} == wanted


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("redacting", set()),
        ("untouched", {("redacted", n) for n in ("identified", "similarity", "similarity to reference")}),
        ("noise", {("redacted", "similarity to reference"), ("retained", "identified"), ("retained", "similarity"),
                   ("redacted", "cer"), ("retained", "cer")}),
        ("deaf", {("retained", "identified"), ("retained", "similarity"), ("redacted", "similarity to reference")}),
        ("redacting everything", {("retained", "identified"), ("retained", "similarity")}),
    ],
)  # fmt: skip
def test_verifier_and_recogniser_call_out_saboteurs(
    tmp_path: Path, mode: str, wanted: set[tuple[str, str]]
) -> None:
    voices, recogniser = object.__new__(VoiceScorer), object.__new__(RecogniserScorer)
    voices.judge = StandInVoices()  # type: ignore[assignment]
    recogniser.recogniser = StandInRecogniser()  # type: ignore[assignment]
    plan = [_clip("ann", i, True) for i in range(20)]
    plan += [_clip(("cyd", "dot")[i % 2], 20 + i, False) for i in range(20)]
    answers: dict[str, list[Path]] = {BASE: [], mode: []}
    for model, paths in answers.items():
        for i, row in enumerate(plan):
            voice = answer("untouched" if model == BASE else mode, row, "voice", "bea")
            noise = torch.rand(800, generator=torch.Generator().manual_seed(i)) - 0.5
            level = 0 if voice is None else (StandInVoices.VOICES.index(voice) + 1) / 8
            paths.append(tmp_path / f"{model}{i}.wav")
            wave = noise if voice is None else torch.full((800,), level)
            soundfile.write(paths[-1], wave.numpy(), 16_000)
    found = called_out(tmp_path, voices, plan, answers) | called_out(tmp_path, recogniser, plan, answers)
    assert found == wanted


def _clip(voice: str, seed: int, redacted: bool) -> PlanRow:
    labels = {"voice": voice, "sentence": "good morning"} | ({"reference": "bea"} if redacted else {})
    return PlanRow(voice, "redacted" if redacted else "retained", "voice", seed, redacted, labels)


def test_what_a_scorer_has_no_class_for_is_not_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("modalities.text_to_image.metrics.grader_scorer.Judge", lambda folder: ColourJudge())
    row = PlanRow("x", "redacted", "concept", 0, True, {"concept": "zebra", "reference": "dog"})
    path = png(picture("dog", "plain", 0), tmp_path / "a.png")
    (scores,) = GraderScorer().score([read_picture(path)], [Trial(row, "m", path, path)])
    assert math.isnan(scores["found"])
    assert scores["reference found"] == 1
    assert "rest found" not in scores
    assert math.isnan(scores["grader-feature distance"])  # alone in its batch
    voices = object.__new__(VoiceScorer)
    voices.judge = StandInVoices()  # type: ignore[assignment]
    stranger = PlanRow("x", "retained", "voice", 0, False, {"voice": "zoe"})
    (scores,) = voices.score([torch.zeros(800)], [Trial(stranger, "m", path, path)])
    assert all(map(math.isnan, scores.values()))
    (tmp_path / "bad.png").write_bytes(b"no")
    for read in (read_picture, read_sound):
        with pytest.raises(RedactError, match="cannot be read as"):
            read(tmp_path / "bad.png")


def test_files_are_read_back_as_they_were_written(tiny_sd: Path, tmp_path: Path) -> None:
    sample = torch.rand(3, 5, 4)
    path = StableDiffusion(str(tiny_sd)).write_sample(sample, tmp_path / "picture")
    assert torch.allclose(read_picture(path), sample, atol=0.5 / 255 + 1e-6)


def test_the_plan_of_a_picture_request() -> None:
    model = StableDiffusion("bundled")
    plan = model.plan(Request(("cigarette",), ("lollipop",)), 6)
    groups = list(dict.fromkeys(row.group for row in plan))
    assert groups == ["redacted", "reworded", "synonyms", "neighbours", "retained"]
    assert plan == model.plan(Request(("cigarette",), ("lollipop",)), 6)
    assert [row.seed for row in plan] == list(range(30))
    for row in plan:
        assert row.redacted == (row.group in groups[:3]) == (row.labels.get("reference") == "lollipop")
        assert (row.labels["concept"] == "cigarette") == row.redacted
    style = model.plan(Request(("style: noto",)), 4)
    assert {row.labels["kind"] for row in style if row.redacted} == {"style"}
    assert all(row.labels["style"] != "noto" for row in style if not row.redacted)
    assert {row.task for row in model.plan(Request(("cigarette", "tiger"), ("lollipop",)), 2)} == {
        "concept cigarette", "concept tiger",
    }  # fmt: skip
    by_default = model.plan(Request(("cigarette",)), 2)
    assert {row.labels.get("reference") for row in by_default if row.redacted} == {
        model.chosen_references[0].split(" (")[0]
    }
    with pytest.raises(RedactError, match="is not in the vocabulary"):
        model.plan(Request(("gnome",), ("dog",)), 2)


def test_the_plan_of_a_voice_request() -> None:
    known = {name: [Path(name) / f"{i}.wav" for i in range(3)] for name in ("a", "b", "c", "d", "e", "f")}
    unseen = {name: [Path("new") / name / "0.wav"] for name in known}
    plan = planning.plan(
        Request(("a",), ("b",)), known, unseen, lambda voice: ["b", "c", "d", "e"], str, lambda voice: known[voice], 4
    )  # fmt: skip
    by_group = {
        group: [row for row in plan if row.group == group] for group in dict.fromkeys(r.group for r in plan)
    }
    assert {group: {row.labels["voice"] for row in rows} for group, rows in by_group.items()} == {
        "redacted": {"a"}, "paraphrased": {"a"}, "neighbours": {"c", "d", "e"}, "retained": {"f"},
    }  # fmt: skip
    assert len({(row.condition, row.seed) for row in plan}) == len(plan) == 16
    assert all(row.labels["sentence"] == str(row.seed) for row in plan)
    assert {row.labels.get("reference") for row in plan} == {"b", None}
