"""Stable Diffusion 1.x / 2.x folders and hub ids, and every folder of the same classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from modalities.draws_pictures import DrawsPictures
from modalities.stated_dtype import half_parts, load_in_float32
from modalities.stock import Stock, find
from modalities.text_to_image.adapters import denoising, in_memory
from modalities.text_to_image.adapters.folders import BUNDLED, GENERATOR, check, copy_except, locate
from modalities.text_to_image.adapters.gate_block import add_gate_block, shortened, states_behind
from modalities.text_to_image.adapters.prompt_by_hand import PromptByHand
from modalities.text_to_image.adapters.prompt_encoder import (
    PromptEncoder,
    PromptReader,
    TextModel,
    expand_added_tokens,
    find_last_linear,
    load_text_model,
    load_tokenizer,
    read_as,
    save_text_model,
    tokenize,
    tower,
)
from modalities.text_to_image.adapters.prompt_requests import PromptRequests
from modalities.text_to_image.adapters.row_settings import settings_of
from modalities.text_to_image.adapters.soft_tokens import in_front, name_replacement
from modalities.text_to_image.adapters.token_ids import ids_of_each, token_ids
from modalities.text_to_image.adapters.turns import turn
from modalities.text_to_image.inspection.pipelines import uncovered_remark
from modalities.text_to_image.prompts.names import tidied, without_article
from modalities.text_to_image.prompts.shares import MISSPELLINGS, MOST_ROWS, PromptRows
from modalities.text_to_image.prompts.vocabulary import Vocabulary, bundled_vocabulary, general_vocabulary
from modalities.text_to_image.suites import SUITES
from redact_core import (
    ClosedForm,
    Condition,
    Conditioning,
    Distillation,
    Disturbable,
    LastLinear,
    Objective,
    Origin,
    PlanRow,
    RedactError,
)
from redact_core.adapters.base import ROW_SETTINGS
from redact_core.adapters.capabilities import (
    HasInputPerturbation,
    HasLastLinear,
    HasNameReplacement,
    HasTrainingLoss,
    Reopens,
)
from redact_core.adapters.generator_parts import HasConditioningMaps, HasDenoiser, HasTowers, ReadsText, Tower
from redact_core.adapters.state_gates import HasStateGates
from redact_core.artefacts.history import base_named

_SMALL = 10_000_000
"""Weights of a text encoder, of which a smaller one takes larger steps: CLIP-L has 123 million, the bundled one a million."""


class StableDiffusion(
    DrawsPictures,
    PromptRequests,
    HasConditioningMaps,
    HasDenoiser,
    HasTowers,
    ReadsText,
    PromptByHand,
    HasInputPerturbation,
    HasNameReplacement,
    HasLastLinear,
    HasTrainingLoss,
    Reopens,
    HasStateGates,
):
    """A ``StableDiffusionPipeline`` seen through its CLIP text encoder.

    Only tokenizer and text encoder are loaded for training; the rest when a picture is asked for.

    Args:
        source: ``bundled``, a diffusers folder, a hub id, or a pipeline in memory: its text encoder is then redacted
            in place, and the scheduler, tokens and LoRA that were set on it stay.
        revision: Of the hub repository.
        variant: Of the weight files, e.g. ``fp16``.
        steps: Denoising steps; default 10 for the bundled base and what was made of it, else 50.
        guidance: Scale of classifier-free guidance; default 3 for the bundled base and what was made of it, else 7.5.
        batch_size: Pictures generated at a time.
        truncate: Cut prompts beyond the context instead of refusing them.
        train_blocks: Train only so many of the last transformer blocks; default: everything.
        implicit_synonyms: How many prompts that do not say a redacted concept, but mean it to the encoder, are looked for and
            redacted with it at most (:mod:`.implicit_synonyms`); default: none.
        per_name: Random compositions that redact a name of a concept, beside one plain row for each wording; a style
            has eight times as many. More bring what is redacted closer to its reference, for longer preparation.
        random_wordings: Prompts that redact a style in wordings of random words, for wordings that nobody thought of.
        misspellings: Prompts that redact a style by a misspelt name.
        most_rows: Redacted prompts of our own making in all. Where many names are redacted together, each gets fewer, down to
            one.

    Raises:
        RedactError: The folder is of another class, incomplete, or holds pickled weights, or ``implicit_synonyms``,
            ``per_name``, ``random_wordings`` or ``misspellings`` is below 0, or ``steps``, ``batch_size`` or ``most_rows`` below 1.
    """

    # the independent CLIP is used where it is shipped
    scorers = (
        "GraderScorer",
        "PixelScorer",
        *(("ClipScorer",) if (BUNDLED / "clip_judge" / "config.json").is_file() else ()),
    )
    set_scorers = ("GraderFeatureDistances",)
    suites = SUITES
    pipelines: ClassVar[set[str]] = {"StableDiffusionPipeline"}
    text_models: ClassVar[dict[str, str]] = {"text_encoder": "CLIPTextModel"}
    """Parts of the pipeline that are redacted, and their classes."""
    tokenizers: ClassVar[tuple[str, ...]] = ("tokenizer",)
    _given: Any = None
    """The pipeline in memory, where one was given."""
    soft_tokens = 4
    """How many :meth:`disturb` puts in front of a prompt by default."""

    def __init__(
        self,
        source: str | Any = "bundled",
        revision: str | None = None,
        variant: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        batch_size: int = 16,
        truncate: bool = False,
        train_blocks: int | None = None,
        implicit_synonyms: int = 0,
        per_name: int = 30,
        random_wordings: int = 0,
        most_rows: int = MOST_ROWS,
        misspellings: int = MISSPELLINGS,
    ):
        PromptRows(
            per_name, random_wordings, misspellings, most_rows
        )  # refuses numbers that are out of range
        if implicit_synonyms < 0:
            raise RedactError(f"implicit_synonyms is {implicit_synonyms}; give at least 0.")
        for name, value in {"steps": steps, "batch_size": batch_size}.items():
            if value is not None and value < 1:
                raise RedactError(f"{name} is {value}; give at least 1.")
        if not isinstance(source, str | Path):
            self._given = source
        self.revision, self.variant = revision, variant
        if self._given is None:
            self.source = str(source)
            self.index = self._find(self.source)
        else:
            in_memory.check_pipeline(self._given, self.pipelines, self.text_models, self.tokenizers)
            self.source = in_memory.source_of(self._given)
            self.index: dict[str, Any] = {"_class_name": type(self._given).__name__, **self._given.config}
            self.pipeline = self._given
        # of its card as it is now: the folder may be another's later
        bundled = self.bundled_base = self.source == "bundled" or base_named(Path(self.source)) == "bundled"
        self.steps = steps if steps is not None else (10 if bundled else 50)
        self.guidance = guidance if guidance is not None else (3.0 if bundled else 7.5)
        self.batch_size, self.truncate = batch_size, truncate
        self.implicit_synonyms, self.per_name, self.random_wordings = (
            implicit_synonyms,
            per_name,
            random_wordings,
        )
        self.most_rows, self.misspellings = most_rows, misspellings
        self.bundled = self.source == "bundled"
        self.tokenizer: CLIPTokenizer = self._tokenizer("tokenizer")
        self._read: dict[str, str] = {}
        encoder = self._open()
        self.encoder: nn.Module = encoder
        small = sum(parameter.numel() for parameter in encoder.parameters()) < _SMALL
        self.learning_rate = 1e-3 if small else 1e-5
        self._check_context()
        if train_blocks is not None:
            encoder.train_last(train_blocks)
        self.vocabulary: Vocabulary = bundled_vocabulary() if bundled else general_vocabulary()

    def _find(self, source: str) -> dict[str, Any]:
        """Look for the folder and check it; see :mod:`.folders`. Its model index is the answer."""
        self.folder = locate(source, self.revision, self.variant)
        index = check(self.folder, self.pipelines, self.text_models, self.variant)
        for part in self.tokenizers:
            if index.get(part, [None, None])[1] not in {"CLIPTokenizer", "CLIPTokenizerFast"}:
                raise RedactError(f"{self.folder}: the {part} is no CLIPTokenizer; this adapter needs one.")
            if not (self.folder / part).is_dir():
                raise RedactError(
                    f"{self.folder / part} is missing; the folder is not complete, fetch it again."
                )
        return index

    def _tokenizer(self, part: str) -> Any:
        if self._given is not None:
            return getattr(self._given, part)
        return load_tokenizer(self.folder / part)

    def _text_model(self, kind: type[TextModel], part: str) -> TextModel:
        """The text model ``part`` in float32, or, of a pipeline in memory, its own as it is."""
        if self._given is None:
            return load_text_model(kind, self.folder / part, self.variant)
        model = getattr(self._given, part)
        in_memory.trainable(model)
        return model

    def _open(self) -> PromptReader:
        """The conditioning network, in float32."""
        return PromptEncoder(self._text_model(CLIPTextModel, "text_encoder"))

    def _check_context(self) -> None:
        """The pipeline pads prompts to what the tokenizer says; without that it cannot draw either."""
        for part, model in self.encoder_modules().items():
            folder = part.replace("text_encoder", "tokenizer")
            stated = self._tokenizer(folder).model_max_length
            known: Any = getattr(model.config, "max_position_embeddings")  # noqa: B009 of both classes
            if stated > known:
                what = f"says model_max_length {stated}" if stated < 10**9 else "says no model_max_length"
                raise RedactError(
                    f"{folder if self._given is not None else self.folder / folder} {what}, its text encoder reads {known} tokens; write "
                    f'"model_max_length": {known} into its tokenizer_config.json, or no pipeline can draw with it.'
                )

    @property
    def origin(self) -> Origin:
        if self._given is not None:
            return in_memory.origin_of(self._given, self.source, self.text_models)
        files = {p.relative_to(self.folder).as_posix(): p for p in self.folder.rglob("*") if p.is_file()}
        return Origin(self.source, self.index["_class_name"], self.revision, files)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the text encoder, and give a loaded pipeline its number format; one that is loaded later gets both."""
        super().to(device, dtype)
        if "pipeline" in self.__dict__:
            denoising.moved(self.pipeline, self.device, dtype)
        return self

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return tokenize(self.tokenizer, conditions, self.truncate)

    def identity(self, condition: Condition) -> str:
        """The prompt's tokens as one text, a blank behind each word: letter case, blanks and such do not count."""
        prompt = str(condition)
        if prompt not in self._read:
            self._read[prompt] = read_as(self.tokenizer, prompt, self.truncate)
        return self._read[prompt]

    def remarks_on_base(self) -> tuple[str, ...]:
        return self._of_half_precision() + self._of_other_paths()

    def _of_other_paths(self) -> tuple[str, ...]:
        """Which paths of the folder the redaction does not change."""
        said = None if self._given is not None else uncovered_remark(self.folder)
        return (said,) if said else ()

    def _of_half_precision(self) -> tuple[str, ...]:
        """What an owner should know of a base that runs in diffusers only where a dtype is named."""
        if self._given is not None:
            return ()
        half = half_parts([path for path in sorted(self.folder.iterdir()) if path.is_dir()])
        if not half:
            return ()
        parts = " and ".join(f"{name} as {dtype}" for name, dtype in half.items())
        return (
            f"{self.source} is loaded by transformers 5 with {parts} and by diffusers otherwise in float32, so it runs "
            "only where a dtype is named; the redacted folder states float32 and runs with and without one.",
        )

    def named_alike(self, one: str, other: str) -> bool:
        """Whether two names have the same token ids, whatever their articles."""
        bare = [without_article(tidied(text)) for text in (one, other)]
        ids = ids_of_each(self.tokenizer, bare)
        return ids[0] == ids[1]

    @torch.no_grad()
    def summary_embeddings(self, prompts: Sequence[str]) -> Tensor:
        """``(prompts, dim)``: what is said where each prompt ends, the whole of it in a causal encoder; padding is not read."""
        inputs = self.collated(prompts)
        ends = inputs["attention_mask"].sum(1) - 1
        short = {key: value[:, : int(ends.max()) + 1] for key, value in inputs.items()}
        return self.encoder(short).hidden[torch.arange(len(ends), device=ends.device), ends]

    def disturb(self, inputs: Mapping[str, Tensor], places: int | None = None) -> Disturbable:
        """Soft tokens in front of each prompt that fits with them: see :mod:`.soft_tokens`."""
        return in_front(inputs, self.encoder, self.tokenizer, self.soft_tokens if places is None else places)

    def replace(
        self, conditions: Sequence[Condition], answers: Sequence[Condition], places: int
    ) -> Disturbable:
        """Soft tokens in place of what the answer's prompt does not say: see :mod:`.soft_tokens`."""
        asked, answered = self.collated(conditions), self.collated(answers)
        return name_replacement(asked, answered, self.encoder, self.tokenizer, places)

    def default_steps(self) -> int:
        """220 for the bundled base; 2000 for others, a starting point that was not tuned on any of them."""
        return 220 if self.bundled_base else 2000

    def default_objective(self) -> Objective:
        """Distillation from the closed form, after which other names bring back far less than after distillation alone."""
        return Distillation(start=ClosedForm())

    def last_linear(self) -> LastLinear:
        """The last layer of the text encoder's last block; see :func:`.prompt_encoder.find_last_linear`."""
        return find_last_linear(self.encoder)

    def reopen(self, folder: Path) -> Self:
        same = {"steps": self.steps, "guidance": self.guidance, "batch_size": self.batch_size}
        other = type(self)(str(folder), variant=self.variant, truncate=self.truncate, **same)
        other.vocabulary, other.soft_tokens = self.vocabulary, self.soft_tokens
        other.learning_rate = self.learning_rate
        other.implicit_synonyms, other.per_name = self.implicit_synonyms, self.per_name
        other.random_wordings, other.most_rows = self.random_wordings, self.most_rows
        other.misspellings = self.misspellings
        return other

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Pictures ``(3, height, width)`` in [0, 1], one for each condition and seed."""
        return self._draw(self.conditioning_of(conditions, seeds), seeds)

    @torch.no_grad()
    def generate_rows(self, rows: Sequence[PlanRow]) -> list[Tensor]:
        """Pictures of rows; the labels ``guidance``, ``height`` and ``width`` take the place of the model's own.

        Raises:
            RedactError: A label is no number, or a side is no multiple of 8.
        """
        groups: dict[tuple[str | None, ...], list[int]] = {}
        for i, row in enumerate(rows):
            groups.setdefault(tuple(row.labels.get(key) for key in ROW_SETTINGS), []).append(i)
        found: dict[int, Tensor] = {}
        for own, indices in groups.items():
            guidance, height, width = settings_of(own)
            conditioning = self.encode([rows[i].condition for i in indices])
            drawn = self._draw(conditioning, [rows[i].seed for i in indices], guidance, height, width)
            found |= dict(zip(indices, drawn, strict=True))
        return [found[i] for i in range(len(rows))]

    def _draw(
        self, conditioning: Conditioning, seeds: Sequence[int], guidance: float | None = None,
        height: int | None = None, width: int | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """Pictures of conditionings, one each; what is ``None`` is the model's own."""
        guidance = self.guidance if guidance is None else guidance
        with turn(self.generator):
            pipeline = denoising.moved(self.pipeline, conditioning.hidden.device)
            drawing = denoising.Drawing(self.steps, guidance, self.batch_size, height, width)
            return denoising.draw(pipeline, conditioning, self.unconditional(), seeds, drawing)

    def unconditional(self) -> Conditioning:
        """What classifier-free guidance leads away from: the answer to the empty prompt."""
        return self.encode([""])

    def predict(self, latents: Tensor, times: Tensor, conditioning: Conditioning) -> Tensor:
        """What the denoiser says of ``latents (batch, channels, height, width)`` with noise; differentiable.

        Args:
            latents: Of the pipeline's latent space.
            times: One for all, or ``(batch,)``.
            conditioning: ``hidden (batch, length, dim)``.
        """
        with turn(self.generator):
            return self.generator(latents, times, encoder_hidden_states=conditioning.hidden).sample

    @property
    def generator(self) -> nn.Module:
        """The denoiser.

        Raises:
            RedactError: The pipeline lacks a part that draws.
        """
        for part in GENERATOR:
            named = (self.index.get(part) or [None])[0]
            if (named if self._given is None else getattr(self._given, part, None)) is None:
                raise RedactError(
                    f"{self.source} has no {part}, so it draws nothing: its prompts can be redacted, for all else give a "
                    "pipeline with all of its parts."
                )
        return self.pipeline.unet

    def conditioning_maps(self) -> Mapping[str, nn.Module]:
        """Keys and values of cross-attention."""
        named = self.generator.named_modules()
        return {name: module for name, module in named if name.endswith(("attn2.to_k", "attn2.to_v"))}

    def last_words(self, conditions: Sequence[Condition]) -> Tensor:
        """The position before the end of each prompt; of the empty prompt the first one."""
        return self.collated(conditions)["attention_mask"].sum(1) - 2

    def reads_conditioning(self, name: str) -> bool:
        """Cross-attention reads it."""
        return ".attn2." in name

    def gate_states(self, inputs: Mapping[str, Tensor], after: int | None = None) -> Tensor:
        """What comes out of the text model's last block, without its mean and of length 1."""
        return states_behind(self._gated_model(), self.encoder, shortened(inputs, after))

    @torch.no_grad()
    def add_gate(self, directions: Tensor, thresholds: Tensor, answers: Tensor, spare: float) -> None:
        """A :mod:`.gate_block` behind the last block of the text model."""
        add_gate_block(
            self._gated_model(), self.encoder, self.collated([""]), directions, thresholds, answers, spare
        )

    def _gated_model(self) -> nn.Module:
        """The text model that gets a gate block."""
        (model,) = self.encoder_modules().values()
        return model

    def towers(self) -> Sequence[Tower]:
        """The text models, each by its first block and its last attention."""
        return [tower(model) for model in self.encoder_modules().values()]

    @property
    def time_steps(self) -> int:
        return self.pipeline.scheduler.config.num_train_timesteps

    def training_loss(
        self,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        times: Sequence[int] | None = None,
    ) -> Tensor:
        """``(batch,)`` mean squared error of the denoiser at one time each (Ho et al. 2020, eq. 14).

        It predicts what the scheduler's ``prediction_type`` says: noise, velocity or sample.
        """
        pipeline = denoising.moved(self.pipeline, conditioning.hidden.device)

        def predict(noisy: Tensor, when: Tensor) -> Tensor:
            return self.predict(noisy, when, conditioning)

        return denoising.losses(pipeline, predict, samples, seeds, times)

    def noised(
        self, samples: Sequence[Tensor], *, seeds: Sequence[int], times: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latents ``(batch, channels, height, width)`` of samples with noise, and their times ``(batch,)``.

        The same draws as in :meth:`training_loss`.
        """
        return denoising.noised(denoising.moved(self.pipeline, self.device), samples, seeds, times)[2:]

    def noise_target(
        self, samples: Sequence[Tensor], *, seeds: Sequence[int], times: Sequence[int] | None = None
    ) -> Tensor:
        pipeline = denoising.moved(self.pipeline, self.device)
        latents, noise, _, when = denoising.noised(pipeline, samples, seeds, times)
        return denoising.perfect(pipeline.scheduler, latents, noise, when)

    def half_drawn(
        self,
        conditioning: Conditioning,
        *,
        seeds: Sequence[int],
        stops: Sequence[int],
        steps: int,
        guidance: float,
    ) -> tuple[Tensor, Tensor]:
        pipeline = denoising.moved(self.pipeline, conditioning.hidden.device)
        drawing = denoising.Drawing(steps, guidance, self.batch_size)
        return denoising.half_drawn(
            pipeline, self.predict, conditioning, self.unconditional(), drawing, seeds=seeds, stops=stops
        )

    def call_settings(self) -> Mapping[str, float]:
        return {"guidance_scale": self.guidance, "num_inference_steps": self.steps}

    def usage(self) -> str:
        kind, settings = self.index["_class_name"], self.call_settings()
        call = ", ".join(f"{name}={value}" for name, value in settings.items())
        prompt = "a tiger" if self.bundled_base else "a photo of a lighthouse"
        return (
            f'from diffusers import {kind}\n\npipe = {kind}.from_pretrained("FOLDER")\n'
            f'pipe("{prompt}", {call}).images[0].save("picture.png")'
        )

    def save(self, folder: Path) -> None:
        changed = self.encoder_modules()
        if self._given is not None:
            in_memory.save_pipeline(self._given, folder)
            return
        denoiser = self._changed_denoiser()
        copy_except(self.folder, folder, {*changed} | ({"unet"} if denoiser else set()))
        for part, model in changed.items():
            save_text_model(model, find(self.folder / part, variant=self.variant), folder / part)
        if denoiser:
            denoiser.write(folder / "unet", self.pipeline.unet.state_dict(), "UNet2DConditionModel")
        for part in folder.iterdir():  # a safety checker as well: what one of them reads comes from another
            load_in_float32(part)

    def encoder_modules(self) -> dict[str, nn.Module]:
        """The models of :attr:`text_models`, as they are now.

        Raises:
            RedactError: The encoder is a student that is no such model.
        """
        if not isinstance(self.encoder, PromptEncoder):
            raise RedactError(
                f"A {type(self.encoder).__name__} cannot be saved as a CLIPTextModel; export the student only."
            )
        return {"text_encoder": self.encoder.model}

    def _changed_denoiser(self) -> Stock | None:
        """The stock weights of the denoiser, if ours are not these any more."""
        if "pipeline" not in self.__dict__:
            return None  # never loaded
        base = find(self.folder / "unet", "diffusion_pytorch_model", self.variant)
        return base if base.differs(self.pipeline.unet.state_dict()) else None

    def fits(self, prompt: str) -> bool:
        ids = token_ids(self.tokenizer, expand_added_tokens(self.tokenizer, prompt))
        return len(ids) <= self.tokenizer.model_max_length

    @cached_property
    def pipeline(self) -> Any:
        """The whole pipeline without its text encoder, which lives in :attr:`encoder`."""
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

        return self._loaded_once(
            lambda: denoising.load_pipeline(
                StableDiffusionPipeline, self.folder, self.variant, self.dtype, text_encoder=None, safety_checker=None,
                requires_safety_checker=False,
            )
        )  # fmt: skip

    def _loaded_once(self, load: Callable[[], Any]) -> Any:
        """The pipeline that ``load`` gives; a thread that comes while another loads it gets that one."""
        with turn(self):
            if "pipeline" not in self.__dict__:
                setattr(self, "pipeline", load())  # noqa: B010 where the property keeps it
            return self.__dict__["pipeline"]
