"""Published methods that train the encoder, on tiny ones: their losses by hand, and what they leave alone."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import tiny_stable_diffusion_xl

from modalities.text_to_image import StableDiffusion, StableDiffusionXL
from redact_core import Lesson, RedactError, redact
from redact_core.adapters.contract import ToyAdapter
from redact_core.objectives.base import frozen_copy
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


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: HiRM(scale=0), "scale is 0; give a finite number above 0."),
        (
            lambda: HiRM(direction="up"),  # pyright: ignore[reportArgumentType]
            "direction is 'up'; give random or reference.",
        ),
        (
            lambda: redact(ToyAdapter(), [Lesson.redact("plum", "pear")], objective=HiRM()),
            "HiRM needs an encoder made of transformer blocks, which ToyAdapter does not offer; use Distillation.",
        ),
    ],
)
def test_refusals_are_one_line(act: Callable[[], object], message: str) -> None:
    with pytest.raises(RedactError, match=re.escape(message)):
        act()
