"""Dual latent reconstruction: the sum, the ends of its range, the threshold, the gate."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from modalities.text_to_image import DualLatent, SafeLatentDiffusion, StableDiffusion
from modalities.text_to_image.guards.concept_gate import ConceptGate
from redact_core import Adapter, Conditioning, RedactError
from redact_core.adapters.contract import check_adapter
from redact_core.adapters.fingerprint import fingerprint
from redact_core.guards.dual_latents import Mixing, weighted_sum

PROMPTS, SEEDS = ["cat", "a red dog", "dog"], [1, 2, 3]


@pytest.fixture
def model(tiny_sd: Path) -> StableDiffusion:
    return StableDiffusion(str(tiny_sd), steps=4, batch_size=2)


def test_the_sum_is_exact_at_both_ends_and_keeps_the_variance_if_asked() -> None:
    user, safe = torch.randn(2, 3, 4, 50, 50).unbind()
    assert weighted_sum(user, safe, 0.0, True) is user
    assert weighted_sum(user, safe, 1.0, True) is safe
    plain, kept = weighted_sum(user, safe, 0.5), weighted_sum(user, safe, 0.5, True)
    assert plain.std() == pytest.approx(0.5**0.5, abs=0.02)
    torch.testing.assert_close(kept.flatten(1).std(1), torch.ones(3), atol=0.02, rtol=0)
    torch.testing.assert_close(weighted_sum(user, user, 0.3, True), user)  # rho is 1: nothing is lost
    opposite = weighted_sum(user, -user, 0.5, True)
    assert torch.isfinite(opposite).all()


def test_streams_before_and_after_the_threshold() -> None:
    u, s = torch.tensor([[1.0]]), torch.tensor([[3.0]])

    def path(**given: object) -> list[tuple[float, float]]:
        mixing = Mixing(**{"weight": 0.5, "threshold": 0.5, "lead": "both", "coupled": True,
                           "schedule": "constant", "keep_variance": False} | given)  # fmt: skip
        return [tuple(x.item() for x in mixing.step(u, s, k, 4)) for k in range(4)]

    assert path() == [(1, 3), (1, 3), (2, 2), (2, 2)]
    assert path(lead="user") == [(1, 1), (1, 1), (2, 2), (2, 2)]
    assert path(lead="safe", coupled=False) == [(3, 3), (3, 3), (2, 3), (2, 3)]
    assert path(schedule="ramp", weight=1.0) == [(1, 3), (1, 3), (2, 2), (3, 3)]
    assert path(threshold=1.0) == [(1, 3)] * 4
    assert path(threshold=0.0)[0] == (2, 2)
    with pytest.raises(RedactError, match=r"weight of the safe stream is 1\.5; give 0 to 1"):
        path(weight=1.5)


def test_weight_0_is_the_plain_pipeline_bit_by_bit(model: StableDiffusion) -> None:
    plain = model.generate(PROMPTS, seeds=SEEDS)
    off = DualLatent(model, "dog", weight=0.0).generate(PROMPTS, seeds=SEEDS)
    assert all(map(torch.equal, plain, off))
    forced = DualLatent(model, "dog", weight=0.0, forced=True).generate(PROMPTS, seeds=SEEDS)
    torch.testing.assert_close(forced, plain, atol=1e-5, rtol=0)
    half = DualLatent(model, "dog", weight=0.5).generate(PROMPTS, seeds=SEEDS)
    assert (half[0] - plain[0]).abs().max() > 1e-3
    assert all(map(torch.equal, model.generate(PROMPTS, seeds=SEEDS), plain)), "the guard leaves no trace"
    assert model.batch_size == 2


def switched(model: StableDiffusion, prompt: str, safe: str, seed: int, at: int) -> Tensor:
    """The plain pipeline that changes its prompt after the step ``at - 1``."""
    said, other, empty = (model.encode([text]).hidden for text in (prompt, safe, ""))

    def change(pipeline: object, step: int, t: object, values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"prompt_embeds": torch.cat([empty, other])} if step == at - 1 else {}

    return model.pipeline(
        prompt_embeds=said, negative_prompt_embeds=empty, num_inference_steps=4, guidance_scale=7.5,
        generator=[torch.Generator().manual_seed(seed)], output_type="pt", callback_on_step_end=change,
        callback_on_step_end_tensor_inputs=["prompt_embeds"],
    ).images[0]  # fmt: skip


@torch.no_grad()
def test_weight_1_is_the_safe_stream_after_the_threshold(model: StableDiffusion) -> None:
    safe = model.generate(["dog"] * 3, seeds=SEEDS)
    whole = DualLatent(model, "dog", weight=1.0, threshold=0.5).generate(PROMPTS, seeds=SEEDS)
    torch.testing.assert_close(whole, safe, atol=1e-5, rtol=0)
    led = DualLatent(model, "dog", weight=1.0, threshold=0.5, lead="user").generate(["cat"], seeds=[1])[0]
    # the sum is first taken after the third step, so that its noise is the last of the user's
    torch.testing.assert_close(led, switched(model, "cat", "dog", 1, at=2), atol=1e-5, rtol=0)
    assert (led - safe[0]).abs().max() > 1e-3


def test_both_streams_are_one_batch_of_twice_the_rows(
    model: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, unet = [], model.pipeline.unet
    forward = unet.forward
    monkeypatch.setattr(unet, "forward", lambda *a, **k: rows.append(len(a[0])) or forward(*a, **k))
    DualLatent(model, "dog").generate(PROMPTS, seeds=SEEDS)
    assert rows == [8] * 4 + [4] * 4


def test_contexts(model: StableDiffusion, tiny_sd: Path) -> None:
    full = {"weight": 1.0, "threshold": 0.0}
    rewrite = DualLatent(model, rewrite={"cat": "dog"}, **full)
    expected = model.generate(["a red dog", "concat"], seeds=[1, 2])
    torch.testing.assert_close(
        rewrite.generate(["a red CAT", "concat"], seeds=[1, 2]), expected, atol=1e-5, rtol=0
    )
    other = StableDiffusion(str(tiny_sd), steps=4)
    with torch.no_grad():
        for parameter in other.encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    heard = DualLatent(model, listener=other, **full).generate(["cat"], seeds=[1])
    expected = model.generate(other.encode(["cat"]), seeds=[1])  # the empty prompt is the model's own
    torch.testing.assert_close(heard, expected, atol=1e-5, rtol=0)
    with pytest.raises(RedactError, match="ask with prompts, or give a context"):
        rewrite.generate(model.encode(["cat"]), seeds=[1])
    with pytest.raises(RedactError, match="No safety context is given"):
        DualLatent(model)
    with pytest.raises(RedactError, match="give one of them"):
        DualLatent(model, "dog", {"cat": "dog"})


def test_a_gate_leaves_other_prompts_alone_bit_by_bit(model: StableDiffusion) -> None:
    def gate(adapter: Adapter, said: Conditioning) -> Tensor:
        return torch.tensor([False, True, False])[: len(said)]

    plain = model.generate(PROMPTS, seeds=SEEDS)
    gated = DualLatent(model, "dog", gate=gate).generate(PROMPTS, seeds=SEEDS)
    always = DualLatent(model, "dog").generate(PROMPTS, seeds=SEEDS)
    assert torch.equal(gated[0], plain[0])
    assert torch.equal(gated[2], plain[2])
    torch.testing.assert_close(gated[1], always[1], atol=1e-5, rtol=0)
    assert (gated[1] - plain[1]).abs().max() > 1e-3
    concept = ConceptGate(["cat"], 0.999)
    assert concept(model, model.encode(["cat", "a red dog", ""])).tolist() == [True, False, False]
    settings = [fingerprint(DualLatent(model, "dog", gate=g))["settings"] for g in (None, gate, concept)]
    assert len({str(s) for s in settings}) == 3
    assert "0x" not in str(settings)


def test_guards_of_both_kinds_are_stacked_in_either_order(model: StableDiffusion) -> None:
    """Where one of them does nothing, the other's picture comes out."""
    sld = {"concepts": ["red"], "preset": "max", "forced": True}
    off = SafeLatentDiffusion(model, **sld, scale=0.0), DualLatent(model, "dog", weight=0.0, forced=True)
    on = SafeLatentDiffusion(model, **sld), DualLatent(model, "dog")
    for guard, silent in zip(on, off[::-1], strict=True):
        alone = guard.generate(PROMPTS, seeds=SEEDS)
        for stacked in (guard.around(silent), silent.around(guard)):
            torch.testing.assert_close(stacked.generate(PROMPTS, seeds=SEEDS), alone, atol=1e-4, rtol=0)
    twice = DualLatent(DualLatent(model, "dog", weight=1.0), "red", weight=0.0, forced=True)
    torch.testing.assert_close(
        twice.generate(PROMPTS, seeds=SEEDS), model.generate(["dog"] * 3, seeds=SEEDS), atol=1e-5, rtol=0
    )
    check_adapter(on[1].around(on[0]), ["cat", "a red dog"])


def test_a_stochastic_scheduler_still_gets_its_generators(model: StableDiffusion) -> None:
    from diffusers import EulerAncestralDiscreteScheduler

    model.pipeline.scheduler = EulerAncestralDiscreteScheduler(prediction_type="v_prediction")
    plain = model.generate(["cat"], seeds=[1])
    forced = DualLatent(model, "dog", weight=0.0, forced=True).generate(["cat"], seeds=[1])
    torch.testing.assert_close(forced, plain, atol=1e-4, rtol=0)
