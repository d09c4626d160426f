"""The part of Stable Diffusion that reads the prompt: a CLIP text model as a conditioning network."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from modalities.stock import Stock, find
from modalities.text_to_image.adapters.gate_block import gate_blocks, layers, new_names, write_gate_blocks
from modalities.text_to_image.adapters.token_ids import ids_of_each, pieces, token_batch
from modalities.weight_files import entries
from modalities.whole_models import whole
from redact_core import Condition, Conditioning, LastLinear, RedactError
from redact_core.adapters.generator_parts import Tower
from redact_core.errors import first_line

_PREFIX = "text_model."
TextModel = TypeVar("TextModel", CLIPTextModel, CLIPTextModelWithProjection)


@contextmanager
def answering(layer: nn.Module, change: Callable[[Tensor], Tensor]) -> Generator[None]:
    """``layer`` answers ``change(its own answer)``: text models take no embeddings, so their tables give others."""

    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], known: Tensor) -> Tensor:
        return change(known)

    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class PromptReader(nn.Module):
    """``input_ids`` and ``attention_mask (batch, length)`` -> conditioning, over embeddings that can be moved.

    ``disturbance (batch, length, dim)``, if it is among the inputs, is added to the token embeddings.
    """

    @property
    def tokens(self) -> nn.Module:
        """Ids -> embeddings; its ``weight`` is the table ``(vocabulary, dim)``. Hooks may change its answer."""
        raise NotImplementedError

    def train_last(self, blocks: int) -> None:
        """Freeze all but the last ``blocks`` transformer blocks that are read, and what comes behind them.

        Raises:
            RedactError: There are not so many blocks.
        """
        raise NotImplementedError


class PromptEncoder(PromptReader):
    """``input_ids (batch, length)`` -> ``hidden (batch, length, dim)``, exactly as the pipeline does it.

    SD 1.x passes no attention mask and its denoiser attends to every position, so all positions
    count, padding included: a loss that left the padding out would leave the concept in it.
    """

    def __init__(self, model: CLIPTextModel):
        super().__init__()
        self.model = model
        self.masked = bool(getattr(model.config, "use_attention_mask", False))
        self._freeze_gates()

    @property
    def tokens(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def train_last(self, blocks: int) -> None:
        train_last(self.model, blocks + len(gate_blocks(self.model)))
        self._freeze_gates()

    def _freeze_gates(self) -> None:
        for block in gate_blocks(self.model):
            block.requires_grad_(False)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        mask = inputs["attention_mask"] if self.masked else None
        change = inputs.get("disturbance")
        with answering(self.tokens, lambda known: known if change is None else known + change):
            hidden = self.model(input_ids=inputs["input_ids"], attention_mask=mask)[0]
        read = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        return Conditioning(hidden, read)


def train_last(model: CLIPTextModel | CLIPTextModelWithProjection, blocks: int) -> None:
    """Freeze all but the last ``blocks`` transformer blocks and what comes behind them.

    Raises:
        RedactError: There are not so many blocks.
    """
    there = model.config.num_hidden_layers
    if not 1 <= blocks <= there:
        raise RedactError(
            f"train_blocks is {blocks}, the text encoder has {there} blocks; give 1 to {there}."
        )
    late = {f"encoder.layers.{i}." for i in range(there - blocks, there)}
    late |= {"final_layer_norm.", "text_projection."}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in late))


FILLER = "a"
"""Stands at a free place of a prompt until something is put there."""


def token_layer(encoder: nn.Module) -> nn.Module:
    """What gives the token embeddings of the prompt encoder that ``encoder`` is or holds; a hook may change its answer.

    Raises:
        RedactError: It holds none.
    """
    for module in encoder.modules():
        if isinstance(module, PromptReader):
            return module.tokens
        if isinstance(module, CLIPTextModel):
            return module.get_input_embeddings()
    raise RedactError(
        f"{type(encoder).__name__} holds no CLIPTextModel; searches at free places of a prompt need one."
    )


def token_table(encoder: nn.Module) -> Tensor:
    """``(vocabulary, dim)`` token embeddings of :func:`token_layer`, not to be trained."""
    weight = getattr(token_layer(encoder), "weight")  # noqa: B009 a parameter, or tables side by side
    return weight.detach()


def find_last_linear(encoder: nn.Module) -> LastLinear:
    """The second layer of the last block's MLP, whose result is added into what the final norm reads.

    Raises:
        RedactError: The encoder holds no CLIP text model, or gating units stand behind its last block.
    """
    if not isinstance(encoder, PromptEncoder):
        raise RedactError(f"{type(encoder).__name__} holds no CLIPTextModel; its last map is not known.")
    if gate_blocks(encoder.model):
        raise RedactError(
            "Gating units stand behind the last block, so that no last map decides the answers; take UnitGating again, or "
            "the stock folder."
        )
    block: Any = encoder.model.encoder.layers[-1]
    return LastLinear(block.mlp.fc2, block)


def tower(model: nn.Module) -> Tower:
    """A text model by its first block and the output projection of its last attention."""
    blocks = layers(model)
    return Tower(blocks[0], blocks[-1].self_attn.out_proj)


def load_text_model(kind: type[TextModel], folder: Path, variant: str | None = None) -> TextModel:
    """The text model of a folder in float32, in evaluation mode.

    Raises:
        RedactError: The weights are damaged or do not fit the configuration.
    """
    weights = find(folder, variant=variant)
    try:
        quantised = sorted(
            name for file in weights.files for name, value in entries(file) if _is_whole(value)
        )
    except (OSError, SafetensorError) as error:
        raise RedactError(f"{folder} cannot be read ({error}); fetch it again.") from error
    if quantised:  # the library would take these as they are
        raise RedactError(
            f"{folder} cannot be loaded as a {kind.__name__} ({quantised[0]} is stored as whole numbers); fetch it again."
        )
    return whole(kind, folder, variant=weights.variant, use_safetensors=True, dtype=torch.float32).eval()


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer of a folder.

    Raises:
        RedactError: A file is missing or damaged.
    """
    try:
        return CLIPTokenizer.from_pretrained(folder)
    except Exception as error:  # of Python, of the library, and of the one in Rust below it
        reason = first_line(error)
        raise RedactError(
            f"{folder} cannot be loaded as a CLIPTokenizer ({reason}); fetch it again."
        ) from error


def _is_whole(value: Tensor) -> bool:
    """Whether a tensor of weights holds no fractions; positions, which do not either, have 64 bits."""
    return not value.is_floating_point() and value.dtype != torch.int64


def tokenize(
    tokenizer: CLIPTokenizer, prompts: Sequence[Condition], truncate: bool = False
) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask (batch, length)``, padded to the context as the pipeline pads.

    Raises:
        RedactError: Prompts beyond the context, which the pipeline would cut with a mere warning.
    """
    texts = [expand_added_tokens(tokenizer, str(prompt)) for prompt in prompts]
    context = tokenizer.model_max_length
    lengths = [len(ids) for ids in ids_of_each(tokenizer, texts)]
    long = [(text, n) for text, n in zip(texts, lengths, strict=True) if n > context]
    if long and not truncate:
        text, n = long[0]
        more = f" (and {len(long) - 1} more)" if len(long) > 1 else ""
        raise RedactError(
            f'"{text[:60]}" has {n} tokens, the encoder reads {context}{more}; shorten it, '
            "or set truncate to true to cut it as the pipeline would."
        )
    batch = token_batch(tokenizer, texts, context)
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def expand_added_tokens(tokenizer: CLIPTokenizer, prompt: str) -> str:
    """The prompt as diffusers' pipelines ask it: an added token that stands for several vectors is all of them.

    Textual inversion of several vectors adds ``<it>``, ``<it>_1``, ``<it>_2``; a prompt says ``<it>``, the pipeline
    puts all of them there (``TextualInversionLoaderMixin.maybe_convert_prompt``).
    """
    added = tokenizer.added_tokens_encoder
    for token in added if any(f"{token}_1" in added for token in added) else ():
        if f"{token}_1" in added and token in pieces(tokenizer, prompt):
            more = [token]
            while f"{token}_{len(more)}" in added:
                more.append(f"{token}_{len(more)}")
            prompt = prompt.replace(token, " ".join(more))
    return prompt


def read_as(tokenizer: CLIPTokenizer, prompt: str, truncate: bool = False) -> str:
    """The tokens of a prompt as one text, a blank behind each word: two prompts with the same are one to the encoder.

    With ``truncate`` only those that fit into the context.
    """
    tokens = pieces(tokenizer, expand_added_tokens(tokenizer, prompt))
    if truncate:
        tokens = tokens[
            : max(0, tokenizer.model_max_length - 2)
        ]  # beginning and end of the text are not among them
    added = tokenizer.added_tokens_encoder
    parts = [f" {token} " if token in added else token.replace("</w>", " ") for token in tokens]
    return " ".join("".join(parts).split())


def whole_words(tokenizer: CLIPTokenizer) -> list[str]:
    """Tokens that are plain words by themselves, for data-free prompts; sorted."""
    vocabulary = tokenizer.get_vocab()
    words = {token.removesuffix("</w>") for token in vocabulary if token.endswith("</w>")}
    words |= {
        token[1:] for token in vocabulary if token.startswith("\u2581")
    }  # as SentencePiece marks a beginning
    return sorted(word for word in words if len(word) > 2 and word.isascii() and word.isalpha())


def save_text_model(model: nn.Module, base: Stock, folder: Path) -> None:
    """Write the weights as the base wrote its own; see :meth:`modalities.stock.Stock.write`.

    Gate blocks that the base has not are written behind them, and the configuration counts them.
    """
    new = new_names(model, base, _PREFIX)
    state = {name: value for name, value in model.state_dict().items() if name not in new}
    base.write(folder, state, type(model).__name__, _PREFIX)
    write_gate_blocks(model, new, base, folder, _PREFIX)
