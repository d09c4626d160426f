"""A generator with several conditioning stages: what each hears, its stages distilled jointly and in turn."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_staged import tiny_staged

from lightning_modules.cli import main as cli
from modalities.staged_to_image import StagedText
from modalities.staged_to_image.captions import FRAMES
from modalities.staged_to_image.conditioner import LENGTH, StagedConditioner
from redact_core import (
    Distillation,
    Lesson,
    RedactError,
    RedactionCard,
    Request,
    SequentialDistillation,
    Stage,
    conditioning_distance,
    redact,
)
from redact_core.adapters.contract import ToyAdapter, check_adapter
from redact_core.support.folders import hashes

REQUEST = Request(("cup",), ("hat",))
CAPTIONS = ["a photo of a dark cup", "one plain hat alone", "vase"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_staged(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def model(folder: Path) -> StagedText:
    return StagedText(str(folder))


def distances(model: StagedText, teacher: StagedText, lessons: list[Lesson]) -> torch.Tensor:
    """Of the student's answers to what is asked from the teacher's to what shall be answered."""
    with torch.no_grad():
        said = model.encoder(model.collate([row.asked for row in lessons]))
        wanted = teacher.encoder(teacher.collate([row.answer for row in lessons]))
    return conditioning_distance(said, wanted)


def weights(model: StagedText) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.encoder.state_dict().items()}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Which stages' weights have other bits."""
    found = {name for name, value in before.items() if not torch.equal(value, after[name])}
    stages = StagedText.stages(None)  # type: ignore[arg-type]
    return {stage.name for stage in stages for name in found if stage.owns(name)}


@pytest.mark.parametrize("student", ["equal", "greater"])
def test_contract(student: str, folder: Path) -> None:
    model = StagedText(str(folder), student)  # type: ignore[arg-type]
    check_adapter(model, CAPTIONS)
    assert all(x.min() >= 0 and x.max() <= 1 for x in model.generate(CAPTIONS, seeds=[0, 1, 2]))


def test_a_sample_depends_on_its_own_seed_and_caption_only(model: StagedText) -> None:
    both = model.generate(CAPTIONS[:2], seeds=[3, 4])
    alone = model.generate(CAPTIONS[1:2], seeds=[4])
    torch.testing.assert_close(both[1], alone[0])


def test_every_stage_is_in_the_conditioning_and_reaches_the_picture(model: StagedText) -> None:
    with torch.no_grad():
        said = model.encoder(model.collate(CAPTIONS[:1]))
        other = model.encoder(model.collate(CAPTIONS[1:2]))
        before = model.generate(said, seeds=[0])[0]
    assert said.hidden.shape == (1, 1 + 2 * LENGTH, 16)
    for stage in model.stages():
        assert not torch.equal(said.hidden[:, stage.positions], other.hidden[:, stage.positions])
        changed = said.hidden.clone()
        changed[:, stage.positions] = other.hidden[:, stage.positions]
        picture = model.generate(type(said)(changed, said.mask), seeds=[0])[0]
        assert not torch.equal(picture, before), f"the generator hears nothing of the {stage.name}"
    heard = torch.zeros(1 + 2 * LENGTH)
    for stage in model.stages():
        heard[stage.positions] += 1
    assert torch.equal(heard, torch.ones_like(heard)), "and nothing else, nothing twice"


def test_the_code_is_drawn_anew_for_every_seed(model: StagedText) -> None:
    """Conditioning augmentation: also with the noise of the picture held still."""
    with torch.no_grad():
        hidden = model.encoder(model.collate(CAPTIONS[:1])).hidden
        noise = torch.randn(1, 4)
        network = model.generator
        code = [torch.full((1, 8), value) for value in (0.0, 1.0)]
        assert not torch.equal(network.draw(hidden, noise, code[0]), network.draw(hidden, noise, code[1]))
        hidden[:, 0, 8:] = -60  # without variance there is no noise
        torch.testing.assert_close(network.draw(hidden, noise, code[0]), network.draw(hidden, noise, code[1]))


def test_the_loss_reaches_conditioner_and_generator(model: StagedText) -> None:
    samples = model.generate(CAPTIONS, seeds=[0, 1, 2])

    def loss() -> torch.Tensor:
        said = model.encoder(model.collate(CAPTIONS))
        return model.training_loss(said, samples, seeds=[0, 1, 2])

    loss().sum().backward()
    for part in (model.encoder, model.generator):
        assert [name for name, p in part.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert loss().shape == (3,)
    assert torch.equal(loss(), loss())


def test_expansion(model: StagedText) -> None:
    lessons = model.expand(REQUEST)
    gone = [row for row in lessons if row.redacted]
    assert {"a photo of a dark cup", "cup", "this is a pale patterned cup"} <= {row.asked for row in gone}
    assert all(row.answer == str(row.asked).replace("cup", "hat") for row in gone)
    kept = [str(row.asked) for row in lessons if not row.redacted]
    assert not any(word in text.split() for text in kept for word in ("cup", "mug"))
    assert {"hat", "cap", "sock", "stocking", "vase", "pot"} <= {w for text in kept for w in text.split()}
    heldout = {frame.split("{")[0] for frame in FRAMES["heldout"] if frame.split("{")[0].strip()}
    assert not any(str(row.asked).startswith(tuple(heldout - {""})) for row in lessons)
    both = model.expand(Request(("cup", "mug"), ("hat",)))
    assert {"a mug", "a cup"} <= {row.asked for row in both if row.redacted}


def test_a_plan_asks_for_every_group(model: StagedText) -> None:
    plan = model.plan(REQUEST, 6)
    assert [row.group for row in plan] == [
        name for name in ("redacted", "reworded", "synonyms", "retained") for _ in range(6)
    ]
    assert all(("mug" if row.group == "synonyms" else "cup") in row.condition for row in plan if row.redacted)
    assert {row.labels["class"] for row in plan if row.redacted} == {"cup"}
    assert {row.labels["class"] for row in plan if not row.redacted} == {"hat", "sock", "vase"}
    assert len({row.seed for row in plan}) == 24


@pytest.mark.parametrize(
    ("how", "student"), [("joint", "equal"), ("sequential", "equal"), ("joint", "greater")]
)
def test_both_ways_reach_the_reference(how: str, student: str, folder: Path) -> None:
    base = StagedText(str(folder))
    model = StagedText(str(folder), student)  # type: ignore[arg-type]
    lessons = model.expand(REQUEST)
    gone, kept = [row for row in lessons if row.redacted], [row for row in lessons if not row.redacted]
    before = distances(model, base, gone).mean()
    objective = Distillation() if how == "joint" else SequentialDistillation((30, 15))
    redact(model, lessons, objective=objective, steps=60, batch_size=24, lr=2e-2)
    assert distances(model, base, gone).mean() < 0.3 * before
    assert distances(model, base, kept).mean() < 0.3 * before
    assert all(p.requires_grad for p in model.encoder.parameters()), "nothing stays frozen afterwards"


def test_a_stage_is_trained_alone(model: StagedText) -> None:
    lessons = model.expand(REQUEST)
    seen = [weights(model)]
    objective = SequentialDistillation((3, 2))
    redact(
        model, lessons, objective=objective, steps=7, batch_size=8,
        on_step=lambda step, terms: seen.append(weights(model)),
    )  # fmt: skip
    steps = [moved(a, b) for a, b in pairwise(seen)]
    assert steps == [{"sentence"}] * 3 + [{"first memory"}] * 2 + [{"second memory"}] * 2


def test_a_student_of_greater_capacity_starts_as_the_same_function(folder: Path) -> None:
    base, model = StagedText(str(folder)), StagedText(str(folder), "greater")
    inputs = base.collate(CAPTIONS)
    with torch.no_grad():
        torch.testing.assert_close(model.encoder(inputs).hidden, base.encoder(inputs).hidden)
        again = StagedText(str(folder), "greater").encoder.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.encoder.state_dict().items())
    size = [sum(p.numel() for p in m.encoder.parameters()) for m in (base, model)]
    assert size[1] > 2 * size[0]
    model.encoder(inputs).hidden.square().sum().backward()
    for stage in model.stages():  # every stage's new part learns from the first step on
        new = [
            p
            for n, p in model.encoder.named_parameters()
            if stage.owns(n) and ("branch.2" in n or "add" in n)
        ]
        assert new
        assert all(p.grad is not None and p.grad.any() for p in new)


@pytest.mark.parametrize("student", ["equal", "greater"])
def test_save_and_reopen(student: str, folder: Path, tmp_path: Path) -> None:
    model = StagedText(str(folder), student)  # type: ignore[arg-type]
    redact(model, REQUEST, steps=2)
    (tmp_path / "out").mkdir()
    model.save(tmp_path / "out")
    opened = StagedText(str(folder)).reopen(tmp_path / "out")
    inputs = model.collate(CAPTIONS)
    with torch.no_grad():
        wanted, found = model.encoder(inputs).hidden, opened.encoder(inputs).hidden
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=2e-3)  # float16
    assert isinstance(opened.encoder, StagedConditioner)
    assert (opened.encoder.extra > 0) == (student == "greater")
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    assert all(torch.equal(after[n], v) for n, v in before.items() if n.startswith("generator."))


def test_an_untrained_model_is_saved_bit_by_bit(model: StagedText, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    model.save(tmp_path / "out")
    assert hashes(tmp_path / "out") == hashes(folder)


def test_fit_trains_sequentially(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--model.adapter", "StagedText", "--model.adapter.source", str(folder)]
    arguments += ["--model.objective", "SequentialDistillation", "--model.objective.steps", "[2,1]"]
    arguments += ["--data.redact", "cup", "--data.reference", "hat", "--data.batch_size", "16"]
    arguments += ["--trainer.max_steps", "3", "--trainer.accelerator", "cpu", "--export.folder", str(out)]
    monkeypatch.setattr(sys, "argv", ["redact", "fit", *arguments])
    monkeypatch.chdir(tmp_path)
    assert cli.main() == 0
    assert RedactionCard.read(out).verify(out) == []
    # two steps of the first stage, one of the second, none of the third
    changed = moved(weights(StagedText(str(folder))), weights(StagedText(str(out))))
    assert changed == {"sentence", "first memory"}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(("spoon",), ("hat",)), '"spoon" is no noun of .*; it knows cup, hat'),
        (Request(("cup",), ("spoon",)), '"spoon" is no noun'),
        (Request(("cup",), ("cup",)), 'The reference "cup" is itself redacted'),
        (Request(("cup",)), "1 redactions but 0 references; give one for all or one for each"),
        (Request(()), "Nothing to redact was named"),
        (Request(("cup",), ("hat",), ("vase",)), "leave retain out"),
    ],
)
def test_requests_that_cannot_be_met(model: StagedText, request_: Request, message: str) -> None:
    with pytest.raises(RedactError, match=message):
        model.expand(request_)


def test_unreadable_captions_are_named(model: StagedText) -> None:
    with pytest.raises(RedactError, match='"a purple cup": the model does not know the word "purple"'):
        model.collate(["a purple cup"])
    with pytest.raises(RedactError, match=r'"" has 0 words; give 1 to 16\.'):
        model.collate([""])
    with pytest.raises(RedactError, match=r"has 17 words; give 1 to 16\."):
        model.collate(["very " * 16 + "cup"])
    with pytest.raises(RedactError, match="2 conditions but 1 seeds"):
        model.generate(CAPTIONS[:2], seeds=[0])


def test_damaged_folders_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RedactError, match="There is no folder nowhere"):
        StagedText("nowhere")
    with pytest.raises(RedactError, match=r"holds no staged model .*config\.json"):
        StagedText(str(tmp_path))
    other = tiny_staged(tmp_path / "model")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"architecture": "vae"}))
    with pytest.raises(RedactError, match="of the kind 'vae'; this adapter takes 'staged-vae'"):
        StagedText(str(other))
    (other / "config.json").write_text(json.dumps(config | {"dim": 32}))
    with pytest.raises(RedactError, match="holds no staged model"):
        StagedText(str(other))


def test_stages_that_do_not_fit_are_named(model: StagedText, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RedactError,
        match=r"SequentialDistillation needs an encoder made of stages \(HasStages\), which ToyAdapter does not have; use Distill",
    ):
        SequentialDistillation((1,)).prepare(ToyAdapter())
    with pytest.raises(RedactError, match="1 numbers of steps for the stages sentence, first memory"):
        SequentialDistillation((1,)).prepare(model)
    with pytest.raises(RedactError, match=r"steps is \[0, 3\]; give at least 1"):
        SequentialDistillation((0, 3))
    with pytest.raises(RedactError, match="was not prepared"):
        _ = SequentialDistillation((1, 1)).stage
    parts = (Stage("a", ("text.",), slice(0, 1)), Stage("b", ("text.", "augmentation."), slice(1, 2)))
    monkeypatch.setattr(model, "stages", lambda: parts)
    with pytest.raises(RedactError, match=r"text\.embedding\.weight belongs to a and b"):
        SequentialDistillation((1,)).prepare(model)
    monkeypatch.setattr(model, "stages", lambda: (parts[0], Stage("b", ("augmentation.",), slice(1, 2))))
    with pytest.raises(RedactError, match=r"writers\.0\.0\.weight belongs to no stage"):
        SequentialDistillation((1,)).prepare(model)


def test_recurrent_layers_give_gradients_while_the_rest_evaluates(tmp_path: Path) -> None:
    """On a GPU cuDNN refuses a backward pass through a recurrent layer in evaluation mode."""
    encoder = StagedText(str(tiny_staged(tmp_path / "staged"))).encoder.eval()
    recurrent = [layer for layer in encoder.modules() if isinstance(layer, torch.nn.RNNBase)]
    assert recurrent
    assert all(layer.training and layer.dropout == 0 for layer in recurrent)
    assert not encoder.training
