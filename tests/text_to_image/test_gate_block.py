"""A block of gating units behind a prompt encoder: exact, an ordinary folder, and known to attacks."""

import copy
import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file
from tiny import tiny_stable_diffusion_xl
from transformers import CLIPTextModel

from modalities.text_to_image import StableDiffusion, StableDiffusionXL
from modalities.text_to_image.adapters.gate_block import add_gate_block, around_blocks, gate_blocks
from modalities.text_to_image.attacks._search.objectives import towards_hidden
from modalities.text_to_image.attacks._search.reading import Reader, slots
from redact_core import ClosedForm, Lesson, RedactError, redact
from redact_core.gates import UnitGating, fit_units, unit_gating
from redact_core.gates.crossing import crossed
from redact_core.gates.units import SPARE

KEPT = ["a red dog", "a cat in the snow", "two birds", "", "a house by the sea"]
ROWS = [Lesson.redact(f"{way} zebra", f"{way} violin") for way in ("a", "one", "the old")]
ROWS += [Lesson.retain(prompt) for prompt in KEPT]
QUICK = {"units": 8, "rounds": 1, "searched": 2, "search_steps": 4, "radius": 0.1}


@pytest.fixture
def model(tiny_sd: Path) -> StableDiffusion:
    return spread(StableDiffusion(str(tiny_sd), steps=2))


def spread(model: StableDiffusion) -> StableDiffusion:
    """``model`` with token embeddings that matter: at random, positions decide everything."""
    with torch.no_grad():
        model.encoder.model.get_input_embeddings().weight.mul_(40)
    return model


def hidden(model: StableDiffusion, prompts: list[str]) -> torch.Tensor:
    with torch.no_grad():
        return model.encode(prompts).hidden


def gate_for(model: StableDiffusion, prompt: str, answer: str, high: float = 0.99) -> torch.Tensor:
    """One unit at the state where ``prompt`` ends; its opening by that prompt's states ``(length,)``."""
    with torch.no_grad():
        states = model.gate_states(model.collated([prompt, answer]))
    model.add_gate(states[:1, -1], torch.tensor([high]), states[1:, -1], SPARE)
    return states[0] @ states[0, -1] - high


def test_a_redaction_keeps_every_bit_of_what_stays_and_of_all_other_weights(
    model: StableDiffusion,
) -> None:
    stock = copy.deepcopy(model.encoder.state_dict())
    gone = [str(row.asked) for row in ROWS if row.redacted]
    before = hidden(model, KEPT), hidden(model, gone)
    redact(model, ROWS, objective=UnitGating(**QUICK))
    assert torch.equal(hidden(model, KEPT), before[0])
    assert (hidden(model, gone) - before[1]).abs().max() > 0.1
    now = model.encoder.state_dict()
    assert all(torch.equal(now[name], value) for name, value in stock.items())


def test_units_stay_shut_for_kept_names_in_redacted_wordings_that_no_row_holds(
    model: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = crossed([(str(x.asked), str(x.answer)) for x in ROWS if x.redacted], KEPT, 200)
    assert {"one red dog", "the old house by"} <= set(asked)
    with torch.no_grad():
        states = model.gate_states(model.collated(asked))
    covered = []

    def spied(
        own: torch.Tensor, answers: torch.Tensor, ends: torch.Tensor, kept: torch.Tensor, *rest, **more
    ):
        apart = torch.cdist(states.flatten(0, 1), kept).amin(1).unflatten(0, states.shape[:2])
        covered.append(int((apart < 1e-3).all(1).sum()))
        return fit_units(own, answers, ends, kept, *rest, **more)

    monkeypatch.setattr(unit_gating, "fit_units", spied)
    for count in (0, 200):
        again = spread(StableDiffusion(str(model.source), steps=2))
        redact(again, ROWS, objective=UnitGating(**QUICK, crossed=count))
    without, crossing = covered
    assert without < len(asked) / 2
    assert crossing == len(asked)


def test_an_open_unit_leaves_the_answer_alone_and_a_silent_one_adds_exactly_nothing(
    model: StableDiffusion,
) -> None:
    before = hidden(model, ["a zebra", "a violin"])
    opened = gate_for(model, "a zebra", "a violin")
    after = hidden(model, ["a zebra", "a violin"])
    shut = opened < -SPARE
    assert shut.any()
    assert torch.equal(after[0, shut], before[0, shut])
    torch.testing.assert_close(after[0, -1], before[1, -1], atol=0.1, rtol=0.05)


def test_the_folder_is_loaded_by_transformers_alone(model: StableDiffusion, tmp_path: Path) -> None:
    redact(model, ROWS, objective=UnitGating(**QUICK))
    folder = model.save_pretrained(tmp_path / "gated") or tmp_path / "gated"
    part = Path(folder) / "text_encoder"
    config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    blocks = len(model.encoder.model.encoder.layers)
    assert config["num_hidden_layers"] == blocks
    loaded = CLIPTextModel.from_pretrained(part)
    inputs = model.collated(["a zebra", *KEPT])
    with torch.no_grad():
        alone = loaded(input_ids=inputs["input_ids"])[0]
    torch.testing.assert_close(alone, hidden(model, ["a zebra", *KEPT]), atol=0.01, rtol=0.01)
    again = StableDiffusion(str(folder))
    assert len(gate_blocks(again.encoder.model)) == 1
    assert not any(p.requires_grad for p in gate_blocks(again.encoder.model)[0].parameters())
    stored = load_file(part / "model.safetensors")
    assert all(torch.isfinite(value.float()).all() for value in stored.values())


def test_diffusers_alone_draws_what_stays_as_before(model: StableDiffusion, tmp_path: Path) -> None:
    model.save(tmp_path / "before")
    with torch.no_grad():
        gone, answer, *kept = model.gate_states(model.collated(["a zebra", "a violin", *KEPT[:2]]))
    word = gone[2]  # behind the start and the article
    nearest = max((states @ word).max().item() for states in kept)
    assert nearest + 2 * SPARE < 1
    model.add_gate(word[None], torch.tensor([nearest + SPARE]), answer[2:3], SPARE)
    model.save(tmp_path / "gated")
    load = {"safety_checker": None, "requires_safety_checker": False}
    pipelines = [StableDiffusionPipeline.from_pretrained(tmp_path / x, **load) for x in ("before", "gated")]
    drawn = [
        [
            pipe(
                prompt,
                num_inference_steps=1,
                generator=torch.Generator().manual_seed(0),
                output_type="latent",
            ).images
            for prompt in (*KEPT[:2], "a zebra")
        ]
        for pipe in pipelines
    ]
    same = [bool((one == other).all()) for one, other in zip(*drawn, strict=True)]
    assert same == [True, True, False]


def test_a_later_concept_gets_a_block_of_its_own(model: StableDiffusion, tmp_path: Path) -> None:
    redact(model, ROWS, objective=UnitGating(**QUICK))
    first = model.save_pretrained(tmp_path / "one") or tmp_path / "one"
    model = StableDiffusion(str(first))
    gone = hidden(model, ["a zebra", *KEPT])
    rows = [Lesson.redact("a robot", "a violin")] + [Lesson.retain(x) for x in (*KEPT, "a zebra")]
    redact(model, rows, objective=UnitGating(**QUICK))
    assert len(gate_blocks(model.encoder.model)) == 2
    assert torch.equal(hidden(model, ["a zebra", *KEPT]), gone)
    second = model.save_pretrained(tmp_path / "two") or tmp_path / "two"
    both = [hidden(m, ["a robot", *KEPT]) for m in (StableDiffusion(str(second)), model)]
    torch.testing.assert_close(*both, atol=0.01, rtol=0.01)


def test_methods_that_solve_for_the_last_map_are_refused_behind_a_gate(model: StableDiffusion) -> None:
    gate_for(model, "a zebra", "a violin")
    with pytest.raises(RedactError, match="Gating units stand behind the last block"):
        redact(model, ROWS, objective=ClosedForm())


def test_two_text_models_without_a_norm_behind_them_are_refused(tmp_path: Path) -> None:
    model = StableDiffusionXL(str(tiny_stable_diffusion_xl(tmp_path / "xl")))
    with pytest.raises(RedactError, match=r"\(HasStateGates\), which StableDiffusionXL does not have"):
        redact(model, ROWS, objective=UnitGating(**QUICK))


def test_more_units_than_a_block_has_and_activations_that_are_never_silent_are_refused(
    model: StableDiffusion,
) -> None:
    text = model.encoder.model
    size, dim = text.config.intermediate_size + 1, text.config.hidden_size
    rows = torch.randn(size, dim)
    with pytest.raises(RedactError, match="give at most as many"):
        add_gate_block(text, model.encoder, model.collated([""]), rows, rows[:, 0], rows, SPARE)
    text.config.hidden_act = "tanh"
    with pytest.raises(RedactError, match="gating units need a GELU"):
        add_gate_block(text, model.encoder, model.collated([""]), rows, rows[:, 0], rows, SPARE)


def test_around_a_gate_everything_passes_and_its_opening_has_a_gradient(model: StableDiffusion) -> None:
    plain = hidden(model, ["a zebra", "two birds"])
    opened = gate_for(model, "a zebra", "a violin")
    with around_blocks(model.encoder.model) as excess:
        passed = hidden(model, ["a zebra", "two birds"])
    assert torch.equal(passed, plain)
    torch.testing.assert_close(excess[0][0], opened, atol=1e-4, rtol=1e-3)
    assert not torch.equal(hidden(model, ["a zebra", "two birds"])[0], plain[0])  # and not any more


def test_searches_see_a_gradient_where_the_gate_has_none(model: StableDiffusion, tiny_sd: Path) -> None:
    base = spread(StableDiffusion(str(tiny_sd), steps=2))
    gate_for(model, "a zebra", "a violin", high=0.0)  # open at every position
    reader = Reader(model)
    asked = slots(reader.tokenizer, [("", " a zebra")], 2)
    target = towards_hidden(base, asked)
    free = reader.table[:2][None].clone().requires_grad_(True)
    through = torch.autograd.grad(target(reader(asked, free), 0).sum(), free)[0].abs().sum()
    around = torch.autograd.grad(reader.loss(target, asked, free, 0).sum(), free)[0].abs().sum()
    assert through < 1e-3 * around
    plain = Reader(base)
    assert not plain.gated
    assert torch.equal(plain.loss(target, asked, free, 0), target(plain(asked, free), 0))
