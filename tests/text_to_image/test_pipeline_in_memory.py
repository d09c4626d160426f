"""``StableDiffusion(pipe)`` and ``unlearn(pipe, ...)``: what the caller set on a pipeline stays."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.models import modeling_utils
from tiny import tiny_stable_diffusion_xl
from torch import nn

from modalities.text_to_image import RobustPrompts, StableDiffusion, StableDiffusionXL, unlearn
from modalities.text_to_image.unlearn import METHODS
from redact_core import ClosedForm, Lesson, RedactError, RedactionCard, Request, SelectiveAmnesia, redact

LESSONS = [Lesson.redact("a cat", "a dog"), Lesson.retain("a dog"), Lesson.retain("red car")]


@pytest.fixture
def pipe(tiny_sd: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None)


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def added_tokens(pipe: StableDiffusionPipeline) -> None:
    """As ``load_textual_inversion`` does it: a token, and a row of the table."""
    pipe.tokenizer.add_tokens(["<mine>"])
    pipe.text_encoder.resize_token_embeddings(len(pipe.tokenizer))
    with torch.no_grad():
        pipe.text_encoder.get_input_embeddings().weight[-1] = torch.linspace(-1, 1, 8)


def test_the_encoder_is_redacted_in_place_and_the_rest_stays(pipe, tmp_path: Path) -> None:
    added_tokens(pipe)
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    before, unet = weights(pipe.text_encoder), weights(pipe.unet)
    model = StableDiffusion(pipe, steps=2)
    redact(model, [*LESSONS, Lesson.retain("a <mine> dog")], steps=3, lr=1e-2)
    assert model.pipeline is pipe
    assert not same(before, pipe.text_encoder.state_dict())
    assert same(unet, pipe.unet.state_dict())
    assert isinstance(pipe.scheduler, EulerDiscreteScheduler)
    drawn = model("a <mine> dog", seed=1).images[0]
    assert drawn.size == (16, 16)

    model.save_pretrained(tmp_path / "out")
    again = StableDiffusionPipeline.from_pretrained(tmp_path / "out")
    assert same(weights(again.text_encoder), pipe.text_encoder.state_dict())
    assert again.tokenizer.encode("<mine>") == pipe.tokenizer.encode("<mine>")
    assert isinstance(again.scheduler, EulerDiscreteScheduler)
    card = RedactionCard.read(tmp_path / "out")
    assert {name.partition("/")[0] for name in card.changed} == {"text_encoder"}
    assert card.verify(tmp_path / "out") == []


def test_a_folder_and_its_pipeline_in_memory_are_redacted_alike(pipe, tiny_sd: Path) -> None:
    inside, folder = StableDiffusion(pipe), StableDiffusion.from_pretrained(tiny_sd)
    for model in (inside, folder):
        redact(model, LESSONS, steps=2, lr=1e-2)
    assert same(inside.encoder.state_dict(), folder.encoder.state_dict())


def test_a_lora_stays_in_memory_and_is_not_saved_beside_the_weights(pipe, tmp_path: Path) -> None:
    layer = pipe.text_encoder.encoder.layers[0].self_attn.q_proj
    layer.lora_A = nn.Linear(8, 2)  # as PEFT names it, on a path with a dot before it
    before = weights(layer.lora_A)
    model = StableDiffusion(pipe)
    redact(model, LESSONS, steps=2, lr=1e-2)
    assert same(before, layer.lora_A.state_dict())
    with pytest.raises(RedactError, match=r"The text_encoder carries a LoRA.*fuse_lora\(\)"):
        model.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "This is a int; give the name of a model, a folder, or a StableDiffusionPipeline."),
        (nn.Linear(1, 1), "This is a Linear"),
    ],
)
def test_what_is_no_pipeline_is_refused(given: object, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        StableDiffusion(given)


def test_a_pipeline_without_its_encoder_is_refused(tiny_sd: Path) -> None:
    bare = StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None, text_encoder=None)
    with pytest.raises(
        RedactError, match="The text_encoder of the pipeline is a NoneType; this adapter needs a"
    ):
        StableDiffusion(bare)


@pytest.mark.parametrize("method", ["distillation", "closed_form", "robust"])
def test_unlearn_gives_the_same_pipeline_back(pipe, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Request] = []

    def expand(self: StableDiffusion, request: Request) -> list[Lesson]:
        requests.append(request)
        return LESSONS

    monkeypatch.setattr(StableDiffusion, "expand", expand)  # hundreds of rows take a minute
    before = weights(pipe.text_encoder)
    pipe.to(torch.bfloat16)
    given = {"method": method, "target": "a dog", "keep": "templates"}
    assert unlearn(pipe, "a cat", **given, steps=2, progress=False) is pipe
    assert requests == [Request("a cat", "a dog", "templates")]
    assert pipe.text_encoder.dtype == pipe.unet.dtype == torch.bfloat16
    assert not same(
        {name: value.bfloat16() for name, value in before.items()}, pipe.text_encoder.state_dict()
    )


def test_robust_unlearning_has_the_settings_of_prompts(pipe) -> None:
    (method,) = METHODS["robust"](StableDiffusion(pipe))
    assert isinstance(method, RobustPrompts)
    assert isinstance(method.start, ClosedForm)
    assert method.name_replacement > 0
    assert method.default_steps(StableDiffusion("bundled")) == 400
    assert method.default_steps(StableDiffusion(pipe)) == 2000


def test_unlearn_in_denoiser_and_encoder(pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StableDiffusion, "expand", lambda *_: LESSONS)
    few = {"surrogates": 2, "replays": 2, "fisher_samples": 2, "fisher_times": 2}
    amnesia = lambda **given: SelectiveAmnesia(**given | few)  # noqa: E731
    # the package has the function under the module's name
    monkeypatch.setattr(sys.modules["modalities.text_to_image.unlearn"], "SelectiveAmnesia", amnesia)
    encoder, denoiser = weights(pipe.text_encoder), weights(pipe.unet)
    unlearn(pipe, "a cat", "amnesia_and_robust", target="a dog", steps=2, progress=False)
    assert not same(encoder, pipe.text_encoder.state_dict())
    moved = [name for name, value in pipe.unet.state_dict().items() if not value.equal(denoiser[name])]
    assert moved
    assert all("attn2" in name for name in moved)


def test_unlearn_knows_its_methods(pipe) -> None:
    with pytest.raises(
        RedactError, match="There is no method 'magic'; give one of distillation, robust, closed_form"
    ):
        unlearn(pipe, "a cat", method="magic")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("StableDiffusion3Pipeline", "this is a StableDiffusion3Pipeline; save it with save_pretrained, and call redact(Prompt"),
        ("str", "this is a str; a folder or a hub id is redacted by redact(StableDiffusion(...), ...)"),
        ("Linear", "this is a Linear; redact(...) takes other models"),
    ],
)  # fmt: skip
def test_unlearn_says_what_takes_what_it_does_not(kind: str, message: str) -> None:
    given = "bundled" if kind == "str" else type(kind, (), {})()
    wanted = "unlearn takes a StableDiffusionPipeline or a StableDiffusionXLPipeline in memory, and "
    with pytest.raises(RedactError, match=re.escape(wanted + message)):
        unlearn(given, "a cat")


def test_unlearn_changes_nothing_where_one_of_its_steps_does_not_fit(tmp_path: Path) -> None:
    pipe = StableDiffusionXLPipeline.from_pretrained(tiny_stable_diffusion_xl(tmp_path / "xl"))
    before = weights(pipe.unet)
    wanted = "RobustPrompts starts from a ClosedForm. ClosedForm needs one last linear map of the encoder"
    with pytest.raises(RedactError, match=wanted):
        unlearn(pipe, "a cat", "amnesia_and_robust", target="a dog", steps=1, progress=False)
    assert same(before, pipe.unet.state_dict())


def test_unlearn_does_not_cast_what_is_float32(pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Diffusers warns of every part that is cast, four times a call."""
    said: list[str] = []
    monkeypatch.setattr(StableDiffusion, "expand", lambda *_: LESSONS)
    monkeypatch.setattr(modeling_utils.logger, "warning", said.append)
    unlearn(pipe, "a cat", "closed_form", target="a dog", progress=False)
    assert said == []


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_a_pipeline_that_draws_nothing_has_its_prompts_redacted_and_no_more(
    tiny_sd: Path, tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(tiny_sd, folder)
    shutil.rmtree(folder / part)
    index = json.loads((folder / "model_index.json").read_text()) | {part: [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))
    given = StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None, **{part: None})
    for model in (StableDiffusion(str(folder)), StableDiffusion(given)):
        redact(model, LESSONS, steps=1, lr=1e-2)
        for refused in (
            lambda model=model: redact(model, LESSONS, objective=SelectiveAmnesia(), steps=1),
            lambda model=model: model("a cat"),
        ):
            with pytest.raises(
                RedactError, match=f"has no {part}, so it draws nothing: its prompts can be redacted"
            ):
                refused()


def test_both_encoders_of_an_xl_pipeline_are_redacted(tmp_path: Path) -> None:
    pipe = StableDiffusionXLPipeline.from_pretrained(tiny_stable_diffusion_xl(tmp_path / "xl"))
    first, second = weights(pipe.text_encoder), weights(pipe.text_encoder_2)
    model = StableDiffusionXL(pipe)
    redact(model, LESSONS, steps=2, lr=1e-2)
    assert not same(first, pipe.text_encoder.state_dict())
    assert not same(second, pipe.text_encoder_2.state_dict())
    model.save_pretrained(tmp_path / "out")
    assert StableDiffusionXL(str(tmp_path / "out")).origin.kind == "StableDiffusionXLPipeline"


def test_push_to_hub_uploads_the_folder_with_its_card(tiny_sd: Path) -> None:
    asked: list[tuple[str, dict]] = []
    found: list[str] = []

    def upload(**given) -> str:
        asked.append(("upload", given))
        found.extend(sorted(path.name for path in Path(given["folder_path"]).iterdir()))
        return "https://hub/owner/name/commit/1"

    hub = SimpleNamespace(create_repo=lambda **given: asked.append(("create", given)), upload_folder=upload)
    model = StableDiffusion.from_pretrained(tiny_sd)
    with pytest.raises(RedactError, match="nothing to upload"):
        model.push_to_hub("owner/name", api=hub)
    redact(model, LESSONS, steps=2, lr=1e-2)
    assert model.push_to_hub("owner/name", api=hub, disclosure="count") == "https://hub/owner/name/commit/1"
    assert asked[0] == ("create", {"repo_id": "owner/name", "private": True, "exist_ok": True})
    assert asked[1][1]["repo_id"] == "owner/name"
    assert {"model_index.json", "redaction.json", "README.md", "text_encoder"} <= set(found)
    assert not Path(asked[1][1]["folder_path"]).exists()

    def refuse(**_: object) -> None:
        raise ValueError("401 Client Error\nmore")

    with pytest.raises(RedactError, match=r"owner/name could not be uploaded: 401 Client Error$"):
        model.push_to_hub("owner/name", api=SimpleNamespace(create_repo=refuse))


def test_the_card_of_a_saved_model_is_that_of_the_result(tiny_sd: Path, tmp_path: Path) -> None:
    model = StableDiffusion.from_pretrained(tiny_sd)
    result = redact(model, LESSONS, steps=2, lr=1e-2)
    model.save_pretrained(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "redaction.json").read_text())["files"] == result.card.files
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "out", safety_checker=None)
    kept, trained = weights(pipe.text_encoder), model.encoder.model.state_dict()
    assert all(torch.allclose(value, trained[name], atol=1e-2) for name, value in kept.items())
