"""Two prompt encoders as one: what the XL pipeline hears is what is trained, and both are written."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from command import redact as command
from diffusers import StableDiffusionXLPipeline
from tiny import tiny_stable_diffusion, tiny_stable_diffusion_xl

from lightning_modules.evaluation.attacking import realise
from modalities.text_to_image import DualLatent, SafeLatentDiffusion, StableDiffusionXL
from modalities.text_to_image.attacks._search.reading import Reader, slots
from modalities.text_to_image.attacks.greedy_coordinate import GreedyCoordinate
from modalities.text_to_image.attacks.null_text import NullText
from modalities.text_to_image.attacks.soft_prompt import SoftPrompt
from modalities.text_to_image.attacks.unlearn_diff import UnlearnDiffAtk
from redact_core import ClosedForm, Lesson, PlanRow, RedactError, RobustDistillation, redact
from redact_core.adapters.contract import check_adapter
from redact_core.support.folders import hashes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stable_diffusion_xl(tmp_path_factory.mktemp("tiny") / "sdxl")


@pytest.fixture
def model(folder: Path) -> StableDiffusionXL:
    return StableDiffusionXL(str(folder), steps=2)


def pipeline_of(folder: Path) -> StableDiffusionXLPipeline:
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


LESSONS = [Lesson.redact("cat", "dog"), Lesson.redact("a red cat", "a red dog"), Lesson.retain("red")]


def test_contract(model: StableDiffusionXL) -> None:
    check_adapter(model, ["cat", "a red dog", "dog"])


def test_hears_what_the_pipeline_hears(folder: Path, model: StableDiffusionXL) -> None:
    hidden, _, pooled, _ = pipeline_of(folder).encode_prompt(
        ["a red cat", "dog"], num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    said = model.encode(["a red cat", "dog"])
    assert said.hidden.shape == (2, 77, 20)
    torch.testing.assert_close(said.hidden, hidden)
    assert said.pooled is not None
    torch.testing.assert_close(said.pooled, pooled)


@pytest.mark.parametrize("zeros", [True, False])
def test_draws_what_the_pipeline_draws(folder: Path, tmp_path: Path, zeros: bool) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps(index | {"force_zeros_for_empty_prompt": zeros}))
    expected = pipeline_of(copy)(
        "a red cat", num_inference_steps=2, generator=torch.Generator().manual_seed(3), output_type="pt"
    ).images
    drawn = StableDiffusionXL(str(copy), steps=2).generate(["a red cat"], seeds=[3])[0]
    torch.testing.assert_close(drawn, expected[0], atol=1e-4, rtol=0)


def test_a_redaction_moves_both_encoders_and_the_pipeline_hears_it(
    folder: Path, model: StableDiffusionXL, tmp_path: Path
) -> None:
    before = model.encode(["cat", "dog", "red"])
    redact(model, LESSONS, steps=400, lr=5e-3)
    out = tmp_path / "out"
    out.mkdir()
    model.save(out)
    assert {name for name, value in hashes(out).items() if value != hashes(folder)[name]} == {
        "text_encoder/model.safetensors",
        "text_encoder_2/model.safetensors",
    }
    assert set(hashes(out)) == set(hashes(folder))
    hidden, _, pooled, _ = pipeline_of(out).encode_prompt(
        ["cat", "dog", "red"], num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    assert before.pooled is not None
    for now, then in ((hidden, before.hidden), (pooled, before.pooled)):
        gap = (then[0] - then[1]).square().mean()
        assert (now[0] - then[1]).square().mean() < 0.2 * gap
        assert (now[2] - then[2]).square().mean() < 0.2 * gap


def test_an_untrained_model_is_saved_bit_by_bit(
    folder: Path, model: StableDiffusionXL, tmp_path: Path
) -> None:
    model.save(tmp_path)
    assert hashes(tmp_path) == hashes(folder)


def test_what_is_not_read_is_not_trained(model: StableDiffusionXL, folder: Path) -> None:
    said = model.encoder(model.collate(["a red cat"]))
    assert said.pooled is not None
    (said.hidden.sum() + said.pooled.square().sum()).backward()
    idle = {name for name, p in model.encoder.named_parameters() if p.requires_grad and p.grad is None}
    assert not idle  # several devices wait for every parameter's gradient
    last = StableDiffusionXL(str(folder), train_blocks=1).encoder
    trained = {name for name, p in last.named_parameters() if p.requires_grad}
    assert trained
    assert all(name.startswith(("first.encoder.layers.1.", "second.text_model.encoder.layers.2.",
                                "second.text_model.final_layer_norm.", "second.text_projection.")) for name in trained)  # fmt: skip


def test_words_at_free_places_are_read_as_the_prompt_that_says_them(model: StableDiffusionXL) -> None:
    reader = Reader(model)
    words = torch.tensor([model.tokenizer("red dog", verbose=False)["input_ids"][1:-1]])
    asked = slots(model.tokenizer, [("", "cat")], words.shape[1])
    with torch.no_grad():
        said = reader(asked, reader.table[words])
        expected = model.encode(["red dog cat"])
    torch.testing.assert_close(said.hidden, expected.hidden)
    torch.testing.assert_close(said.pooled, expected.pooled)


def test_the_end_of_a_prompt_is_read_without_padding_by_both(model: StableDiffusionXL) -> None:
    prompts = ["a cat", "a photo of a dog on a blue background"]
    with torch.no_grad():
        hidden = model.encode(prompts).hidden
    ends = model.collate(prompts)["attention_mask"].sum(1) - 1
    said = model.summary_embeddings(prompts)
    torch.testing.assert_close(said, hidden[torch.arange(2), ends], atol=1e-5, rtol=1e-4)


def test_robust_training_moves_the_tokens_of_both(model: StableDiffusionXL) -> None:
    objective = RobustDistillation(radius=2, steps=2, words=0.5, places=4, name_replacement=2)
    first = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    redact(model, LESSONS, objective=objective, steps=3, lr=1e-2)
    moved = {
        name for name, value in model.encoder.state_dict().items() if not torch.equal(value, first[name])
    }
    assert any(name.startswith("first.") for name in moved)
    assert any(name.startswith("second.") for name in moved)


@pytest.mark.parametrize(
    "attack",
    [
        GreedyCoordinate(tokens=2, steps=2, candidates=4, checks=1),
        SoftPrompt(tokens=2, steps=2),
        UnlearnDiffAtk(tokens=2, steps=2, checks=1),
        NullText(passes=1),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_attacks_run_on_it(folder: Path, model: StableDiffusionXL, attack: object) -> None:
    rows = [PlanRow("a red cat", "redacted", "concept", 0, True, {"kind": "concept", "concept": "cat"})]
    attempts = attack(model, StableDiffusionXL(str(folder), steps=2), rows, seed=0)
    pictures = realise(model, attempts, [row.seed for row in rows])
    assert [tuple(picture.shape) for picture in pictures] == [(3, 16, 16)]


def test_guards_steer_it(model: StableDiffusionXL) -> None:
    plain = model.generate(["a red cat"], seeds=[1])[0]
    guarded = SafeLatentDiffusion(model, concepts=["cat"], preset="max", warmup=0)
    assert not torch.equal(guarded.generate(["a red cat"], seeds=[1])[0], plain)
    dual = DualLatent(model, context="dog", weight=0.8)
    assert not torch.equal(dual.generate(["a red cat"], seeds=[1])[0], plain)


def test_the_command_line_redacts_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command(
        "fit", "--model.adapter", "StableDiffusionXL", "--model.adapter.source", folder, "--data.redact", "cat",
        "--data.reference", "dog", "--data.retain", "templates", "--trainer.max_steps", 2, "--export.folder", out,
        "--trainer.accelerator", "cpu",
    ) == 0  # fmt: skip
    assert pipeline_of(out).text_encoder_2.config.projection_dim == 10
    capsys.readouterr()
    assert command("card", out) == 0
    assert "StableDiffusionXLPipeline" in capsys.readouterr().out


def test_what_is_none_is_refused(folder: Path, model: StableDiffusionXL, tmp_path: Path) -> None:
    with pytest.raises(
        RedactError, match="holds a StableDiffusionPipeline; this adapter takes StableDiffusionXL"
    ):
        StableDiffusionXL(str(tiny_stable_diffusion(tmp_path / "sd")))
    with pytest.raises(
        RedactError, match="train_blocks is 3; of the two text encoders 2 and 3 blocks are read"
    ):
        StableDiffusionXL(str(folder), train_blocks=3)
    with pytest.raises(RedactError, match=r"\(HasLastLinear\), which StableDiffusionXL does not have"):
        redact(model, LESSONS, objective=ClosedForm(), steps=1)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    shutil.rmtree(copy / "tokenizer_2")
    with pytest.raises(RedactError, match="tokenizer_2 is missing"):
        StableDiffusionXL(str(copy))
    path = Path(shutil.copytree(folder / "tokenizer_2", copy / "tokenizer_2")) / "tokenizer.json"
    kept = json.loads(path.read_text())
    vocab = kept["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    path.write_text(json.dumps(kept))
    with pytest.raises(RedactError, match="have different vocabularies"):
        StableDiffusionXL(str(copy))
