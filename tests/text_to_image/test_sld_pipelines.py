"""The wrapped denoiser in other pipelines with classifier-free guidance: SDXL and SD3, tiny and random."""

from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
)
from tiny import tiny_denoiser_xl
from torch import Tensor

from modalities.text_to_image.guards.safe_denoiser import SafeDenoiser
from modalities.text_to_image.guards.sampling_hooks import hooked
from redact_core.guards.safe_guidance import PRESETS, SafetyGuidance, guided, safety_term


def vae(latent: int) -> AutoencoderKL:
    return AutoencoderKL(
        3, 3, ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2, (4, 8), 1, latent_channels=latent,
        norm_num_groups=2, sample_size=16, shift_factor=0.0,
    )  # fmt: skip


def sdxl() -> tuple[Any, Any]:
    unet = tiny_denoiser_xl(hidden=16, pooled=8)
    pipeline = StableDiffusionXLPipeline(
        vae=vae(4), unet=unet, scheduler=DDIMScheduler(clip_sample=False), text_encoder=None, tokenizer=None,
        text_encoder_2=None, tokenizer_2=None, add_watermarker=False,
    )  # fmt: skip
    return pipeline, unet


def sd3() -> tuple[Any, Any]:
    transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=16, caption_projection_dim=16, pooled_projection_dim=8, out_channels=4,
        pos_embed_max_size=8,
    )  # fmt: skip
    with torch.no_grad():  # the output layers start at zero, which would make every answer the same
        for parameter in transformer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(), vae=vae(4), text_encoder=None,
        tokenizer=None, text_encoder_2=None, tokenizer_2=None, text_encoder_3=None, tokenizer_3=None,
    )  # fmt: skip
    return pipeline, transformer


def draw(pipeline: Any, guidance: float = 5.0) -> Tensor:
    hidden, pooled = torch.randn(2, 6, 16, generator=rng()), torch.randn(2, 8, generator=rng())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt_embeds=hidden, pooled_prompt_embeds=pooled, negative_prompt_embeds=0 * hidden,
        negative_pooled_prompt_embeds=0 * pooled, num_inference_steps=4, guidance_scale=guidance,
        height=16, width=16, output_type="latent", generator=[rng(), rng()],
    ).images  # fmt: skip


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize(("make", "pooled"), [(sdxl, "text_embeds"), (sd3, "pooled_projections")])
def test_the_pipeline_computes_equation_3(make: Any, pooled: str) -> None:
    pipeline, denoiser = make()
    plain = draw(pipeline)
    concepts = {"encoder_hidden_states": torch.randn(2, 6, 16), pooled: torch.randn(2, 8)}
    nothing = SafetyGuidance(0, 0.0, 1.0, 0.0, 0.0)
    with hooked(denoiser, "forward", SafeDenoiser(denoiser.forward, concepts, nothing)):
        torch.testing.assert_close(draw(pipeline), plain, atol=1e-5, rtol=0)
    settings = SafetyGuidance(1, *list(vars(PRESETS["max"]).values())[1:])
    forward, step = denoiser.forward, pipeline.scheduler.step
    answers: list[Tensor] = []
    used: list[Tensor] = []

    def recording(*args: Any, **kwargs: Any) -> Any:
        found = forward(*args, **kwargs)
        answers.append(found[0])
        return found

    def stepping(
        model_output: Tensor, *args: Any, generator: Any = None, eta: float = 0.0, **rest: Any
    ) -> Any:
        used.append(model_output)
        return step(model_output, *args, **rest)

    with (
        hooked(denoiser, "forward", SafeDenoiser(recording, concepts, settings)),
        hooked(pipeline.scheduler, "step", stepping),
    ):
        steered = draw(pipeline)
    past = torch.zeros(())
    for i, (answer, output) in enumerate(zip(answers, used, strict=True)):
        assert len(answer) == 8  # two pictures: empty, prompt, and two concepts each
        e_u, e_p, *e_s = answer.chunk(4)
        gamma, past = safety_term(e_u, e_p, e_s, past, settings)
        torch.testing.assert_close(output, guided(e_u, e_p, gamma if i else 0.0, 5.0), atol=1e-4, rtol=1e-4)
    assert len(used) == 4
    assert (steered - plain).abs().max() > 1e-3
