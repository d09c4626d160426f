"""Stable Diffusion XL folders and hub ids: two prompt encoders, redacted together."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from modalities.text_to_image.adapters import denoising
from modalities.text_to_image.adapters.paired_prompt_encoder import PairedPromptEncoder
from modalities.text_to_image.adapters.prompt_encoder import PromptReader
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.adapters.turns import turn
from modalities.text_to_image.prompts.shares import MISSPELLINGS, MOST_ROWS
from redact_core import Conditioning, Distillation, Objective, RedactError
from redact_core.adapters.capabilities import HasLastLinear
from redact_core.adapters.state_gates import HasStateGates


class StableDiffusionXL(StableDiffusion):
    """A ``StableDiffusionXLPipeline`` seen through both of its CLIP text encoders.

    They are one conditioning network: their hidden states stand side by side, ``(batch, 77, 2048)`` for the
    hub's SDXL, and the second one's projection is the pooled part, ``(batch, 1280)``. A redaction that
    changed one of them alone would leave the concept to the other.

    Args:
        source: A diffusers folder, a hub id, or a pipeline in memory, which is redacted in place.
        revision: Of the hub repository.
        variant: Of the weight files, e.g. ``fp16``.
        steps: Denoising steps; default 50.
        guidance: Scale of classifier-free guidance; default 5, as the pipeline's own.
        batch_size: Pictures generated at a time.
        truncate: Cut prompts beyond the context instead of refusing them.
        train_blocks: Train only so many of the last blocks that are read, in both; default: everything.
        implicit_synonyms: How many prompts that are taken for a redacted concept are redacted with it; default: none.
        per_name: Random compositions that redact a name of a concept.
        random_wordings: Prompts that redact a style in wordings of random words.
        misspellings: Prompts that redact a style by a misspelt name.
        most_rows: Redacted prompts of our own making in all; of many names each gets fewer.

    Raises:
        RedactError: The folder is of another class, incomplete, or holds pickled weights, or the two
            tokenizers do not share their vocabulary.
    """

    # three maps are read, and a closed form solves for one; gates answer through a norm, and these states have none behind
    lacks = (HasLastLinear, HasStateGates)
    pipelines: ClassVar[set[str]] = {"StableDiffusionXLPipeline"}
    text_models: ClassVar[dict[str, str]] = {
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "CLIPTextModelWithProjection",
    }
    tokenizers: ClassVar[tuple[str, ...]] = ("tokenizer", "tokenizer_2")

    def __init__(
        self,
        source: str | Any,
        revision: str | None = None,
        variant: str | None = None,
        steps: int | None = None,
        guidance: float = 5.0,
        batch_size: int = 4,
        truncate: bool = False,
        train_blocks: int | None = None,
        implicit_synonyms: int = 0,
        per_name: int = 30,
        random_wordings: int = 0,
        most_rows: int = MOST_ROWS,
        misspellings: int = MISSPELLINGS,
    ):
        super().__init__(
            source,
            revision,
            variant,
            steps,
            guidance,
            batch_size,
            truncate,
            train_blocks,
            implicit_synonyms,
            per_name,
            random_wordings,
            most_rows,
            misspellings,
        )

    def _open(self) -> PromptReader:
        other: CLIPTokenizer = self._tokenizer("tokenizer_2")
        if other.get_vocab() != self.tokenizer.get_vocab():
            raise RedactError(
                f"{self.source}: tokenizer and tokenizer_2 have different vocabularies; this adapter needs "
                "one for both, as the hub's SDXL has."
            )
        first = self._text_model(CLIPTextModel, "text_encoder")
        second = self._text_model(CLIPTextModelWithProjection, "text_encoder_2")
        padding = int(str(self.tokenizer.pad_token_id)), int(str(other.pad_token_id))
        return PairedPromptEncoder(first, second, padding)

    def default_objective(self) -> Objective:
        """Plain distillation, for there is no last map to start from."""
        return Distillation()

    @torch.no_grad()
    def unconditional(self) -> Conditioning:
        """Zeros, if the folder says ``force_zeros_for_empty_prompt``; else the answer to the empty prompt."""
        conditioning = self.encode([""])
        if not self.index.get("force_zeros_for_empty_prompt", True) or conditioning.pooled is None:
            return conditioning
        return Conditioning(
            torch.zeros_like(conditioning.hidden), conditioning.mask, torch.zeros_like(conditioning.pooled)
        )

    def predict(self, latents: Tensor, times: Tensor, conditioning: Conditioning) -> Tensor:
        scale = self.pipeline.vae_scale_factor
        height, width = (scale * side for side in latents.shape[-2:])
        # original size, nothing cropped, target size: a picture as it was asked for
        sizes = torch.tensor([height, width, 0, 0, height, width]).to(latents).expand(len(latents), -1)
        assert conditioning.pooled is not None
        with turn(self.generator):
            return self.generator(
                latents,
                times,
                encoder_hidden_states=conditioning.hidden,
                added_cond_kwargs={"text_embeds": conditioning.pooled, "time_ids": sizes},
            ).sample

    def encoder_modules(self) -> dict[str, nn.Module]:
        if not isinstance(self.encoder, PairedPromptEncoder):
            raise RedactError(
                f"A {type(self.encoder).__name__} cannot be saved as two CLIP text models; export the student only."
            )
        return {"text_encoder": self.encoder.first, "text_encoder_2": self.encoder.second}

    @cached_property
    def pipeline(self) -> Any:
        """The whole pipeline without its text encoders, which live in :attr:`encoder`."""
        from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
            StableDiffusionXLPipeline,
        )

        return self._loaded_once(
            lambda: denoising.load_pipeline(
                StableDiffusionXLPipeline, self.folder, self.variant, self.dtype, text_encoder=None,
                text_encoder_2=None, add_watermarker=False,
            )
        )  # fmt: skip
