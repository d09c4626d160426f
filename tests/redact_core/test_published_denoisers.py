"""ESD and concept ablation on a tiny denoiser: their targets by hand, and the limits in which they equal something known."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from tiny import tiny_stable_diffusion_xl
from torch import nn

from modalities.text_to_image import StableDiffusion, StableDiffusionXL
from redact_core import Conditioning, Lesson, RedactError, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.objectives._parts.replay import swapped_weights
from redact_core.objectives.base import frozen_copy
from redact_core.objectives.published.concept_ablation import ConceptAblation
from redact_core.objectives.published.esd import ESD
from redact_core.objectives.published.uce import UCE
from redact_core.training.run import TrainingRun

ROWS = [
    Lesson.redact("cat", "dog"),
    Lesson.redact("a cat", "a dog"),
    Lesson.retain("red"),
    Lesson.retain("dog"),
]
ALL = torch.arange(6)


def opened(folder: Path) -> StableDiffusion:
    return StableDiffusion(str(folder), steps=3, guidance=2.0)


def small(**more: Any) -> ESD:
    values: dict[str, Any] = {"samples": 6, "roll_steps": 4, "learning_rate": 1e-3}
    return ESD(**values | more)


def prepared(method: ESD | ConceptAblation, model: StableDiffusion):
    student = method.prepare(model)
    return student, method.rows(model, frozen_copy(student), ROWS, seed=0)


def test_without_strength_esd_wants_what_the_base_says(tiny_sd: Path) -> None:
    student, rows = prepared(small(strength=0), opened(tiny_sd))
    assert rows.measure(student)["redact distance"] < 1e-12


def test_esd_s_target_at_strength_one_is_the_answer_to_nothing_and_at_two_its_mirror(tiny_sd: Path) -> None:
    model = opened(tiny_sd)
    (_, one), (_, two) = (prepared(small(strength=s), model) for s in (1.0, 2.0))
    batch, mirrored = one.batch(ALL), two.batch(ALL)
    assert torch.equal(batch.latents, mirrored.latents)
    with torch.no_grad():
        free = model.predict(
            batch.latents, batch.times, model.unconditional()[torch.zeros(6, dtype=torch.int64)]
        )
        asked = model.predict(batch.latents, batch.times, batch.conditioning)
    torch.testing.assert_close(batch.target, free, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mirrored.target, 2 * free - asked, rtol=1e-4, atol=1e-5)


def test_half_drawn_to_the_end_is_the_model_s_own_drawing(tiny_sd: Path) -> None:
    """Left before the last step and taken over that one by hand, a drawing is the pipeline's; left at 0 it is noise."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    model = opened(tiny_sd)
    with torch.no_grad():
        conditioning = model.encode(["cat", "dog"])
        latents, times = model.half_drawn(conditioning, seeds=[3, 4], stops=[2, 0], steps=3, guidance=2.0)
        scheduler: Any = DDIMScheduler.from_config(model.pipeline.scheduler.config)
        scheduler.set_timesteps(3)
        assert times.tolist() == [scheduler.timesteps[2].item(), scheduler.timesteps[0].item()]
        noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
        assert torch.equal(latents[1:], noise)
        free, asked = (
            model.predict(latents[:1], times[:1], c) for c in (model.unconditional(), conditioning[:1])
        )
        last = scheduler.step(free + 2 * (asked - free), scheduler.timesteps[2], latents[:1]).prev_sample
        picture = model.pipeline.vae.decode(last / model.pipeline.vae.config.scaling_factor).sample
    wanted = model.generate(["cat"], seeds=[3])[0]
    torch.testing.assert_close((picture[0] / 2 + 0.5).clamp(0, 1), wanted, rtol=1e-3, atol=1e-4)


class Whole(ESD):
    """With a copy of the whole denoiser for its teacher."""

    def untouched(self, student: nn.Module) -> list[nn.Parameter]:
        del student
        return []


@pytest.mark.parametrize(("variant", "few"), [("x", True), ("u", False)])
def test_the_teacher_is_a_copy_of_what_is_trained_and_the_weights_are_the_same(
    tiny_sd: Path, variant: Literal["x", "u"], few: bool
) -> None:
    found: list[dict[str, torch.Tensor]] = []
    measures: list[Mapping[str, float]] = []
    for kind in (ESD, Whole):
        model, values = opened(tiny_sd), {"samples": 6, "roll_steps": 4, "learning_rate": 1e-3}
        run = TrainingRun(model, kind(variant=variant, **values))  # pyright: ignore[reportArgumentType]
        assert run._teacher is not None
        held = {id(p) for p in run.student.parameters()}
        sizes = [p.numel() for p in run._teacher.parameters() if id(p) not in held]
        wanted = [p.numel() for p in run.student.parameters() if kind is Whole or p.requires_grad]
        assert sum(sizes) == sum(wanted)
        if kind is ESD:
            assert (sum(sizes) < sum(p.numel() for p in run.student.parameters()) / 3) == few
        result = redact(
            model,
            ROWS,
            objective=kind(variant=variant, **values),
            steps=2,
            batch_size=3,  # pyright: ignore[reportArgumentType]
        )
        measures.append(result.card.measures)
        found.append(model.generator.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    assert measures[0] == measures[1]


def test_a_teacher_that_is_moved_goes_on_sharing_what_the_student_holds(tiny_sd: Path) -> None:
    run = TrainingRun(opened(tiny_sd), small())
    assert run._teacher is not None
    for (
        module
    ) in run._teacher.modules():  # as a move to another device leaves them: every parameter one of its own
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.detach().clone(), requires_grad=False))
    teacher = run._moved(run._teacher, torch.device("cpu"))
    held = {id(p) for p in run.student.parameters()}
    copied = [name for name, p in teacher.named_parameters() if id(p) not in held]
    assert copied == [name for name, p in run.student.named_parameters() if p.requires_grad]


def test_weights_are_swapped_without_a_copy_of_what_is_shared(tiny_sd: Path) -> None:
    student = small().prepare(opened(tiny_sd))
    teacher = frozen_copy(student, [p for p in student.parameters() if not p.requires_grad])
    own = {name: p.clone() for name, p in student.named_parameters()}
    with torch.no_grad():
        for p in teacher.parameters():
            p += 1
    with swapped_weights(student, teacher):
        inside = {name: p.clone() for name, p in student.named_parameters()}
    trained = {name for name, p in student.named_parameters() if p.requires_grad}
    assert all(torch.equal(inside[name], own[name] + 1) for name in own)
    for name, p in student.named_parameters():
        assert torch.equal(p, own[name] + (name not in trained)), name


@pytest.mark.parametrize("variant", ["x", "u", "full"])
def test_esd_trains_its_variant_s_layers(tiny_sd: Path, variant: Literal["x", "u", "full"]) -> None:
    model = opened(tiny_sd)
    before = {k: v.clone() for k, v in model.generator.state_dict().items()}
    result = redact(model, ROWS, objective=small(variant=variant), steps=2, batch_size=3)
    moved = {k for k, v in model.generator.state_dict().items() if not torch.equal(v, before[k])}
    across = {name for name in moved if ".attn2." in name}
    assert bool(across) == (variant != "u")
    assert bool(moved - across) == (variant != "x")
    assert result.card.scope.startswith("The denoiser of this folder")


def test_esd_takes_the_concept_away(tiny_sd: Path) -> None:
    result = redact(
        opened(tiny_sd), ROWS, objective=small(variant="full", strength=1), steps=60, batch_size=6
    )
    measures = result.card.measures
    assert measures["redact distance after"] < 0.5 * measures["redact distance before"]
    assert "retain distance after" not in measures  # nothing retained is looked at


def ablation(**more: Any) -> ConceptAblation:
    values: dict[str, Any] = {"samples": 3, "retained": 3, "learning_rate": 1e-3}
    return ConceptAblation(**values | more)


def test_noise_based_ablation_is_the_training_loss_on_pictures_of_the_anchor(tiny_sd: Path) -> None:
    model = opened(tiny_sd)
    method = ablation(variant="noise", retain_weight=0)
    student, rows = prepared(method, model)
    loss = method(student, rows.batch(torch.arange(3)))["redact"]
    with torch.no_grad():
        pictures = model.generate(["dog"], seeds=[0])
        asked, own = rows.batch(torch.arange(3)).conditioning, model.encode(["cat", "a cat"]).hidden
        anchors = ["dog" if torch.equal(h, own[0]) else "a dog" for h in asked.hidden]
        pictures = [model.generate([a], seeds=[i])[0] for i, a in enumerate(anchors)]
        wanted = model.training_loss(asked, pictures, seeds=[0, 1, 2]).mean()
    torch.testing.assert_close(loss.detach(), wanted, rtol=1e-4, atol=1e-5)


def test_model_based_ablation_wants_the_anchor_s_answer_and_retained_rows_start_at_nothing(
    tiny_sd: Path,
) -> None:
    model = opened(tiny_sd)
    student, rows = prepared(ablation(), model)
    batch = rows.batch(ALL)
    own, anchor = model.encode(["cat", "a cat"]).hidden, model.encode(["dog", "a dog"]).hidden
    which = [0 if torch.equal(h, own[0]) else 1 for h in batch.conditioning.hidden[:3]]
    with torch.no_grad():
        conditioning = Conditioning(anchor[which], batch.conditioning.mask[:3])
        wanted = model.predict(batch.latents[:3], batch.times[:3], conditioning)
    torch.testing.assert_close(batch.target[:3], wanted, rtol=1e-4, atol=1e-5)
    assert batch.redacted.tolist() == [True] * 3 + [False] * 3
    measures = rows.measure(student)
    assert measures["retain distance"] < 1e-12 < measures["redact distance"]


def test_measures_are_those_of_the_weights_that_are_given(tiny_sd: Path) -> None:
    model = opened(tiny_sd)
    student, rows = prepared(ablation(), model)
    teacher = frozen_copy(student)
    before = rows.measure(teacher)
    with torch.no_grad():
        model.generator.get_parameter("conv_out.weight").mul_(-1)
    assert rows.measure(teacher) == pytest.approx(before)
    assert rows.measure(student)["retain distance"] > 1e-6


def test_keys_and_values_are_trained_by_default(tiny_sd: Path) -> None:
    model = opened(tiny_sd)
    before = {k: v.clone() for k, v in model.generator.state_dict().items()}
    redact(model, ROWS, objective=ablation(), steps=2, batch_size=6)
    moved = {k for k, v in model.generator.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {f"{name}.weight" for name in model.conditioning_maps()}


def test_default_steps_are_the_authors(tiny_sd: Path) -> None:
    model = opened(tiny_sd)
    assert (ESD().default_steps(model), ConceptAblation().default_steps(model)) == (200, 200)
    assert model.default_steps() == 2000


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: ESD(variant="y"), "variant is 'y'; give x, u or full."),  # pyright: ignore[reportArgumentType]
        (lambda: ESD(strength=-1), "strength is -1; give a finite number of at least 0."),
        (lambda: ESD(samples=0), "samples is 0 and roll_steps 50; give at least 1 of each."),
        (lambda: ConceptAblation(retained=0), "samples is 200 and retained 0; give at least 1 of each."),
        (lambda: ConceptAblation(parameters="("), "parameters is no regular expression"),
        (
            lambda: redact(ToyAdapter(), [Lesson.redact("plum", "pear")], objective=ESD()),
            "ESD needs a denoiser whose single steps can be asked for (HasDenoiser), which ToyAdapter does not have; use Distillation.",
        ),
    ],
)
def test_refusals_are_one_line(act: Callable[[], object], message: str) -> None:
    with pytest.raises(RedactError, match=re.escape(message)):
        act()


def test_both_encoders_of_a_larger_model_are_read(tmp_path: Path) -> None:
    """ESD's target and UCE's maps with hidden states side by side and a pooled part."""
    model = StableDiffusionXL(str(tiny_stable_diffusion_xl(tmp_path / "xl")), steps=3)
    _, rows = prepared(small(strength=1.0), model)
    batch = rows.batch(ALL)
    with torch.no_grad():
        free = model.predict(
            batch.latents, batch.times, model.unconditional()[torch.zeros(6, dtype=torch.int64)]
        )
    torch.testing.assert_close(batch.target, free, rtol=1e-4, atol=1e-5)
    measures = redact(model, ROWS, objective=UCE(keep_weight=1e-4, preserve_weight=0.01)).card.measures
    assert measures["redact distance after"] < 0.05 * measures["redact distance before"]
