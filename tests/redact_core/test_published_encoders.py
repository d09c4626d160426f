"""Published methods that train the encoder, on tiny ones: their losses by hand, and what they leave alone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_stable_diffusion_xl

from modalities.text_to_image import StableDiffusion, StableDiffusionXL
from redact_core import Lesson, RedactError, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.objectives.base import frozen_copy
from redact_core.objectives.published.adv_unlearn import AdvUnlearn, DenoisedPrompts
from redact_core.objectives.published.des import DES, lost_order, lost_spread
from redact_core.objectives.published.hirm import HiRM

ROWS = [
    Lesson.redact("cat", "dog"),
    Lesson.redact("a cat", "a dog"),
    Lesson.retain("red"),
    Lesson.retain("dog"),
]


def last_states(model: StableDiffusion, prompt: str) -> torch.Tensor:
    """``(length, dim)`` what the last block's attention puts out, by a hook of the test's own."""
    found: list[torch.Tensor] = []
    layer = model.towers()[0].attention
    handle = layer.register_forward_hook(lambda *passed: found.append(passed[2]))
    with torch.no_grad():
        model.encode([prompt])
    handle.remove()
    return found[0][0]


def test_hirm_s_loss_is_the_distance_from_fixed_directions(tiny_sd: Path) -> None:
    model, method = StableDiffusion(str(tiny_sd)), HiRM(scale=3.0, seed=5)
    student = method.prepare(model)
    rows = method.rows(model, frozen_copy(student), ROWS, seed=0)
    assert len(rows) == 1  # the name alone
    batch = rows.batch(torch.tensor([0]))
    states = last_states(model, "cat")
    drawn = torch.randn(states.shape, generator=torch.Generator().manual_seed(5))
    wanted = 3.0 * drawn / drawn.norm(dim=1, keepdim=True)
    by_hand = (states - wanted).square().sum(1).mean()
    torch.testing.assert_close(method(student, batch)["redact"].detach(), by_hand)


def test_hirm_towards_the_reference_wants_the_untouched_encoder_s_states(tiny_sd: Path) -> None:
    model, method = StableDiffusion(str(tiny_sd)), HiRM(direction="reference")
    student = method.prepare(model)
    teacher = frozen_copy(student)
    with torch.no_grad():
        states = last_states(model, "dog")
        for parameter in student.parameters():
            parameter.mul_(1.3)  # as after resuming a run
    rows = method.rows(model, teacher, ROWS, seed=0)
    torch.testing.assert_close(rows.batch(torch.tensor([0])).target.hidden[0], states)
    # nothing to do for a name that is its own reference
    own = method.rows(model, teacher, [Lesson.redact("dog", "dog")], seed=0)
    assert own.measure(teacher)["redact distance"] < 1e-10


@pytest.mark.parametrize("kind", ["one encoder", "two"])
def test_hirm_trains_first_blocks_alone(tiny_sd: Path, tmp_path: Path, kind: str) -> None:
    if kind == "one encoder":
        model = StableDiffusion(str(tiny_sd))
    else:
        model = StableDiffusionXL(str(tiny_stable_diffusion_xl(tmp_path / "xl")))
    before = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    method = HiRM(direction="reference", learning_rate=1e-2)
    measures = redact(model, ROWS, objective=method, steps=25).card.measures
    moved = {k for k, v in model.encoder.state_dict().items() if not torch.equal(v, before[k])}
    assert all("encoder.layers.0." in name for name in moved)
    assert any("self_attn" in name for name in moved)
    assert any("mlp" in name for name in moved)
    assert measures["redact distance after"] < 0.6 * measures["redact distance before"]
    assert method.default_steps(model) == 15


def flat(model: StableDiffusion, *prompts: str) -> torch.Tensor:
    with torch.no_grad():
        return model.encode(list(prompts)).hidden.flatten(1)


def test_des_s_terms_are_those_computed_by_hand(tiny_sd: Path) -> None:
    model, method = StableDiffusion(str(tiny_sd)), DES(push=7.0)
    student = method.prepare(model)
    rows = method.rows(model, frozen_copy(student), ROWS, seed=0)
    terms = method(student, rows.batch(torch.arange(len(rows))))
    gone, kept, empty = flat(model, "cat", "a cat"), flat(model, "red", "dog"), flat(model, "")
    n = gone[0] / gone[0].norm()
    least = kept[[int(torch.cosine_similarity(g, kept).argmin()) for g in gone]]
    unsafe = (1 - torch.cosine_similarity(gone, least - 7 * n)).mean()
    unsafe += (1 - torch.cosine_similarity(gone[:1], empty)).mean()
    safe = (1 - torch.cosine_similarity(kept + 7 * n, kept)).mean()
    torch.testing.assert_close(terms["redact"].detach(), 0.7 * unsafe)
    torch.testing.assert_close(terms["retain"].detach(), 0.3 * safe)
    assert set(terms) == {"redact", "retain"}
    assert rows.measure(student)["redact distance"] == pytest.approx(unsafe.item(), rel=1e-4)


def test_sage_s_terms_are_nothing_where_nothing_moved_and_those_of_a_shrunken_cloud_by_hand() -> None:
    cloud = torch.randn(12, 5)
    assert lost_spread(cloud, cloud) == 0
    assert lost_spread(cloud, 2 * cloud) == 0
    torch.testing.assert_close(lost_spread(cloud, 0.5 * cloud), 0.75 * torch.cov(cloud.T).trace())
    assert lost_order(cloud, 3 * cloud, 15).abs() < 1e-6
    assert lost_order(cloud, torch.randn(12, 5), 15) > 0.3
    # the sixth of six prompts has the five others as neighbours: numpy's correlation says the same
    few, moved = cloud[:6], cloud[:6] + 0.3 * torch.randn(6, 5)
    old, new = (torch.cosine_similarity(x[:, None], x[None], dim=2) for x in (few, moved))
    others = [[j for j in range(6) if j != i] for i in range(6)]
    rs = [torch.corrcoef(torch.stack([old[i, o], new[i, o]]))[0, 1] for i, o in enumerate(others)]
    torch.testing.assert_close(lost_order(few, moved, 15), 1 - torch.stack(rs).mean())
    assert lost_order(few[:3], moved[:3], 15) == 0  # too few to say


def test_des_with_sage_s_terms_trains_and_says_what_it_measured(tiny_sd: Path) -> None:
    rows = [*ROWS, *(Lesson.retain(word) for word in ("blue", "ship", "tree", "red ship", "sky"))]
    method = DES(push=1.0, spread_weight=0.01, neighbour_weight=0.1, learning_rate=1e-3)
    result = redact(StableDiffusion(str(tiny_sd)), rows, objective=method, steps=30)
    assert set(result) == {"redact", "retain", "spread", "neighbours"}
    measures = result.card.measures
    assert measures["redact distance after"] < 0.9 * measures["redact distance before"]


def small(**more: Any) -> AdvUnlearn:
    values: dict[str, Any] = {
        "samples": 3, "retained": 3, "roll_steps": 4, "warmup": 0, "attack_steps": 4, "attack_rate": 0.05,
    }  # fmt: skip
    return AdvUnlearn(**values | more)


def drawn(method: AdvUnlearn, folder: Path) -> tuple[StableDiffusion, torch.nn.Module, DenoisedPrompts]:
    model = StableDiffusion(str(folder), steps=3, guidance=2.0)
    student = method.prepare(model)
    rows = method.rows(model, frozen_copy(student), ROWS, seed=0)
    return model, student, rows.batch(torch.arange(len(rows)))


def test_adv_unlearn_wants_esd_s_target_and_the_base_s_answer_to_what_is_retained(tiny_sd: Path) -> None:
    model, _, batch = drawn(small(), tiny_sd)
    with torch.no_grad():
        free = model.predict(
            batch.latents, batch.times, model.encode([""])[torch.zeros(6, dtype=torch.int64)]
        )
        own = model.predict(batch.latents, batch.times, model.encoder(batch.asked))
    torch.testing.assert_close(batch.target[:3], (2 * free - own)[:3], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(batch.target[3:], own[3:], rtol=1e-4, atol=1e-5)
    assert batch.redacted.tolist() == [True] * 3 + [False] * 3


def test_adv_unlearn_s_attack_brings_back_what_the_base_said(tiny_sd: Path) -> None:
    method = small(attack_steps=60)
    model, student, batch = drawn(method, tiny_sd)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    gone = batch[torch.arange(3)]
    front = model.disturb(gone.asked, 1)
    with torch.no_grad():
        plain = method.distances(student, front.moved(front.zeros()), gone, gone.base)
        found = method.distances(student, method.attack(student, gone), gone, gone.base)
    assert (found <= plain + 1e-9).all()
    assert found.sum() < 0.95 * plain.sum()


def test_adv_unlearn_s_warm_up_is_without_an_attack(tiny_sd: Path) -> None:
    method = small(warmup=1)
    _, student, batch = drawn(method, tiny_sd)
    plain = method.distances(student, batch.asked, batch, batch.target)
    first, second = (method(student, batch)["redact"] for _ in range(2))
    torch.testing.assert_close(first, plain[:3].mean())
    assert not torch.allclose(second, first)
    assert int(method.taken) == 2
    assert int(method.state_dict()["taken"]) == 2  # a run that goes on knows


def test_adv_unlearn_trains_the_encoder_and_leaves_the_denoiser(tiny_sd: Path) -> None:
    model = StableDiffusion(str(tiny_sd), steps=3, guidance=2.0)
    before = {k: v.clone() for k, v in model.generator.state_dict().items()}
    method = small(learning_rate=3e-3, retain_weight=0.1)
    measures = redact(model, ROWS, objective=method, steps=25, batch_size=6).card.measures
    assert all(torch.equal(v, before[k]) for k, v in model.generator.state_dict().items())
    assert measures["redact distance after"] < measures["redact distance before"]
    assert method.default_steps(model) == 1000


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: HiRM(scale=0), "scale is 0; give a finite number above 0."),
        (
            lambda: HiRM(direction="up"),  # pyright: ignore[reportArgumentType]
            "direction is 'up'; give random or reference.",
        ),
        (lambda: DES(push=-1), "push is -1; give a finite number of at least 0."),
        (lambda: DES(neighbours=2), "neighbours is 2 and candidates 512; give at least 3 and 1."),
        (lambda: AdvUnlearn(places=0), "places is 0; give at least 1."),
        (
            lambda: redact(ToyAdapter(), [Lesson.redact("plum", "pear")], objective=DES()),
            "DES needs conditions that are texts (ReadsText), which ToyAdapter does not have; use Distillation.",
        ),
        (
            lambda: redact(ToyAdapter(), [Lesson.redact("plum", "pear")], objective=HiRM()),
            "HiRM needs an encoder made of transformer blocks (HasTowers), which ToyAdapter does not have; use Distillation.",
        ),
    ],
)
def test_refusals_are_one_line(act: Callable[[], object], message: str) -> None:
    with pytest.raises(RedactError, match=re.escape(message)):
        act()
