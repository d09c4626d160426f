"""Pipelines that encode prompts themselves: SD3, FLUX, PixArt, Sana, AuraFlow, LTX, Wan, CogVideoX, Kandinsky 2.2's prior."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from modalities.text_to_image.adapters import denoising
from modalities.text_to_image.adapters.encoder_views import EncoderView, views
from modalities.text_to_image.adapters.folders import locate
from modalities.text_to_image.adapters.pipeline_encoder import WIDTH, PipelineEncoder, as_bytes, as_mask
from modalities.text_to_image.adapters.pipeline_parts import (
    check,
    load_drawing,
    load_encoders,
    load_shell,
    save,
)
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.adapters.token_ids import pieces, token_ids
from modalities.text_to_image.adapters.turns import turn
from modalities.text_to_image.inspection.families import HIDDEN
from modalities.text_to_image.prompts.names import OR, tidied, without_article
from modalities.text_to_image.prompts.shares import MISSPELLINGS, MOST_ROWS
from redact_core import (
    ClosedForm,
    Condition,
    Conditioning,
    Distillation,
    LastLinear,
    Objective,
    RedactError,
)
from redact_core.adapters.capabilities import HasInputPerturbation, HasNameReplacement, HasTrainingLoss
from redact_core.adapters.generator_parts import HasConditioningMaps, HasDenoiser, HasTowers
from redact_core.adapters.state_gates import HasStateGates


class PromptPipeline(StableDiffusion):
    """A diffusers pipeline that owns ``encode_prompt`` and takes ``prompt_embeds``, seen through all of its text encoders.

    What is redacted is what the denoiser reads: the sequence, and the pooled vector where there is one. All encoders
    that the folder has are one conditioning network. They encode through the pipeline's own method, with the lengths,
    instructions and cleaning that its call uses. The classes are those of
    :data:`~modalities.text_to_image.inspection.families.FAMILIES`.

    The default method solves for the last linear map before each place where an encoder is read, in closed form, so
    that a T5 of several billion weights needs no training. Sana's Gemma has no such solution and is trained.
    ``Distillation`` trains all encoders jointly. The prior of Kandinsky 2.2 is redacted and saved like the others; it
    draws no pictures, which the folder of its decoder does.

    Args:
        source: A diffusers folder or a hub id.
        revision: Of the hub repository.
        variant: Of the weight files, e.g. ``fp16``.
        steps: Denoising steps; default 28.
        guidance: Scale of guidance; default: the pipeline's own.
        batch_size: Pictures generated at a time.
        truncate: Cut prompts beyond the shortest context, as the pipeline does, instead of refusing them.
        per_name: Random compositions that redact a name of a concept.
        random_wordings: Prompts that redact a style in wordings of random words.
        misspellings: Prompts that redact a style by a misspelt name.
        most_rows: Redacted prompts of our own making in all; of many names each gets fewer.
        size: Height and width of pictures in pixels; default: the pipeline's own.

    Raises:
        RedactError: The folder is of another class, incomplete, or holds pickled weights, or a number is out of range.
    """

    saves_generator: ClassVar[bool] = False
    # encoders with vocabularies of their own share no soft tokens, a T5 has no end as a CLIP tower has, single steps
    # differ from class to class, and most of these denoisers read prompt and picture with the same maps
    lacks = (
        HasInputPerturbation, HasNameReplacement, HasStateGates, HasTowers, HasTrainingLoss, HasDenoiser, HasConditioningMaps,
    )  # fmt: skip

    def __init__(
        self,
        source: str,
        revision: str | None = None,
        variant: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        batch_size: int = 4,
        truncate: bool = False,
        per_name: int = 30,
        random_wordings: int = 0,
        most_rows: int = MOST_ROWS,
        misspellings: int = MISSPELLINGS,
        size: int | None = None,
    ):
        if size is not None and (size < 8 or size % 8):
            raise RedactError(f"size is {size}; give a multiple of 8, in pixels.")
        if not isinstance(source, str):  # pyright: ignore[reportUnnecessaryIsInstance] of a pipeline in memory
            raise RedactError(
                f"A {type(source).__name__} in memory is not taken by this adapter; save it with save_pretrained and give "
                "the folder."
            )
        super().__init__(
            source,
            revision,
            variant,
            steps if steps is not None else 28,
            guidance if guidance is not None else -1.0,
            batch_size,
            truncate,
            per_name=per_name,
            random_wordings=random_wordings,
            most_rows=most_rows,
            misspellings=misspellings,
        )
        self.own_guidance, self.size = guidance is None, size

    def _find(self, source: str) -> dict[str, Any]:
        self.folder = locate(source, self.revision, self.variant)
        index, self.family = check(self.folder)
        return index

    def _tokenizer(self, part: str) -> Any:
        return self.shell.pipeline.components[part]

    @cached_property
    def shell(self) -> Any:
        """The pipeline without parts that have weights."""
        return load_shell(self.folder, self.index, self.family)

    def _open(self) -> Any:
        return PipelineEncoder(load_encoders(self.folder, self.index, self.family, self.variant), self.shell)

    def _check_context(self) -> None:
        """The pipeline's own method pads and cuts."""

    def reopen(self, folder: Path) -> Self:
        other = super().reopen(folder)
        other.own_guidance, other.size = self.own_guidance, self.size
        return other

    @property
    def _tokenizers(self) -> list[Any]:
        parts = [part.replace("text_encoder", "tokenizer") for part in self.encoder_modules()]
        return [self._tokenizer(part) for part in parts]

    def _length(self, tokenizer: Any) -> int:
        """Tokens that the pipeline reads: the tokenizer's own, or what its call says, whichever is less."""
        said = inspect.signature(type(self.shell.pipeline).__call__).parameters.get("max_sequence_length")
        # a CLIP has its own length whatever the call says of the T5
        clip = tokenizer.model_max_length <= 77
        limit = tokenizer.model_max_length if said is None or clip else int(said.default)
        return min(limit, 10_000)

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        prompts = [str(condition) for condition in conditions]
        for prompt in prompts:
            if len(prompt.encode()) > WIDTH:
                raise RedactError(f'"{prompt[:60]}" has more than {WIDTH} bytes; shorten it.')
            if not self.truncate and not self.fits(prompt):
                raise RedactError(
                    f'"{prompt[:60]}" is longer than one of the encoders reads; shorten it, or set truncate to true to cut '
                    "it as the pipeline would."
                )
        return {"text": as_bytes(prompts)}

    def fits(self, prompt: str) -> bool:
        return all(len(token_ids(t, prompt)) <= self._length(t) for t in self._tokenizers)

    def identity(self, condition: Condition) -> str:
        """The prompt's tokens as one text; as each tokenizer reads it, where two read it differently."""
        prompt = str(condition)
        if prompt not in self._read:
            read = [" ".join(_plain(t, prompt)) for t in self._tokenizers]
            self._read[prompt] = read[0] if len(set(read)) == 1 else OR.join(read)
        return self._read[prompt]

    def named_alike(self, one: str, other: str) -> bool:
        """Whether every tokenizer reads two names alike, whatever their articles."""
        bare = [without_article(tidied(text)) for text in (one, other)]
        return self.identity(bare[0]) == self.identity(bare[1])

    @torch.no_grad()
    def summary_embeddings(self, prompts: Sequence[str]) -> Tensor:
        """``(prompts, dim)``: the mean of the positions that are read, and the pooled vector behind it."""
        found = self.encode(prompts)
        read = found.mask.unsqueeze(-1)
        mean = (found.hidden * read).sum(1) / read.sum(1)
        return mean if found.pooled is None else torch.cat([mean, found.pooled], -1)

    def default_objective(self) -> Objective:
        """The closed form, at every place where an encoder is read; distillation where there is none."""
        try:
            self.closed_form_views()
        except RedactError:
            return Distillation()
        return ClosedForm(disturbed=0)

    def last_linear(self) -> LastLinear:
        """That of the only place where the encoders are read.

        Raises:
            RedactError: There are several.
        """
        places = self.closed_form_views()
        if len(places) > 1:
            raise RedactError(
                f"{self.source} is read at {len(places)} places, so that no single last map decides its conditioning; use "
                "ClosedForm with disturbed 0, which solves for each, or Distillation."
            )
        return places[0].last_linear()

    def closed_form_views(self) -> Sequence[EncoderView]:
        return views(self, self.encoder_modules(), self.family.encoders)

    def encoder_modules(self) -> dict[str, nn.Module]:
        if not isinstance(self.encoder, PipelineEncoder):
            raise RedactError(
                f"A {type(self.encoder).__name__} cannot be saved as text encoders of a pipeline; export the student only."
            )
        return dict(self.encoder.parts.items())

    @torch.no_grad()
    def _draw(
        self, conditioning: Conditioning, seeds: Sequence[int], guidance: float | None = None,
        height: int | None = None, width: int | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """Pictures of conditionings; of a film its first one."""
        accepted = inspect.signature(type(self.shell.pipeline).__call__).parameters
        if HIDDEN not in accepted:
            raise RedactError(
                f"A {self.index['_class_name']} draws no pictures, it makes the embeddings that another pipeline draws from; "
                "save it, and draw with both by diffusers."
            )
        pipeline = denoising.moved(self.pipeline, conditioning.hidden.device)
        scale = guidance if guidance is not None else (None if self.own_guidance else self.guidance)
        options: dict[str, Any] = {
            "guidance_scale": scale,
            "height": height or self.size,
            "width": width or self.size,
        }
        options = {name: value for name, value in options.items() if value is not None and name in accepted}
        options |= {"use_resolution_binning": False} if "use_resolution_binning" in accepted else {}
        empty = self._led_away_from(accepted)
        options |= {"negative_prompt": None} if empty and "negative_prompt" in accepted else {}
        family, found = self.family, list[Tensor]()
        with turn(pipeline):
            for start in range(0, len(seeds), self.batch_size):
                part = conditioning[start : start + self.batch_size]
                given = {HIDDEN: part.hidden, family.mask: part.mask, family.pooled: part.pooled}
                given |= {name: value.expand(len(part), *value.shape[1:]) for name, value in empty.items()}
                drawn = pipeline(
                    **{name: value for name, value in given.items() if name is not None},
                    **options,
                    num_inference_steps=self.steps,
                    generator=[
                        torch.Generator().manual_seed(s) for s in seeds[start : start + self.batch_size]
                    ],
                    output_type="pt",
                )
                pictures = drawn.images if hasattr(drawn, "images") else torch.as_tensor(drawn.frames)[:, 0]
                found += list(pictures.float().clamp(0, 1).cpu())
        return found

    def _led_away_from(self, accepted: Mapping[str, Any]) -> dict[str, Tensor]:
        """What guidance leads away from, by the names of the call's arguments; empty where the class has none."""
        found = self.shell.encode(self.encoder_modules(), [""], guided=True)
        led = {
            name: value for name, value in found.items() if name.startswith("negative_") and name in accepted
        }
        masks = [name for name in led if name.endswith("mask")]
        return led | {name: as_mask(led[name], led["negative_prompt_embeds"]) for name in masks}

    @property
    def generator(self) -> nn.Module:
        return getattr(self.pipeline, self.family.drawing[0])

    @cached_property
    def pipeline(self) -> Any:
        """The whole pipeline without its text encoders, which live in :attr:`encoder`."""
        return self._loaded_once(
            lambda: load_drawing(self.folder, self.index, self.family, self.variant, self.dtype)
        )

    def call_settings(self) -> Mapping[str, float]:
        guidance = {} if self.own_guidance else {"guidance_scale": self.guidance}
        size = {} if self.size is None else {"height": self.size, "width": self.size}
        return dict(sorted({"num_inference_steps": self.steps, **guidance, **size}.items()))

    def usage(self) -> str:
        """Of classes that draw; a film is not saved."""
        call = inspect.signature(type(self.shell.pipeline).__call__).parameters
        code = super().usage() if HIDDEN in call else ""
        return code.replace('images[0].save("picture.png")', "frames") if "num_frames" in call else code

    def save(self, folder: Path) -> None:
        save(self.folder, folder, self.encoder_modules(), self.variant)


def _plain(tokenizer: Any, prompt: str) -> list[str]:
    """Tokens without the marks of a word's beginning or end."""
    return [token.replace("</w>", "").replace("\u2581", "") for token in pieces(tokenizer, prompt)]
