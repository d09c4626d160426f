"""The part of Stable Diffusion XL that reads the prompt: two CLIP text models as one conditioning network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from modalities.text_to_image.adapters.prompt_encoder import PromptReader, answering, train_last
from redact_core import Conditioning, RedactError


class TokenTables(nn.Module):
    """Token embeddings of several text models side by side, for a vocabulary that they share.

    Args:
        tables: One of each model. They stay the models': nothing is registered twice.
    """

    def __init__(self, tables: Sequence[nn.Embedding]):
        super().__init__()
        self._tables = list(tables)  # modules in a plain list are not registered

    @property
    def widths(self) -> list[int]:
        """Embedding dims of each."""
        return [table.weight.shape[1] for table in self._tables]

    @property
    def weight(self) -> Tensor:
        """``(vocabulary, sum of dims)``."""
        return torch.cat([table.weight for table in self._tables], 1)

    def forward(self, *ids: Tensor) -> Tensor:
        """One ``(batch, length)`` of ids for each model -> ``(batch, length, sum of dims)``."""
        return torch.cat([table(own) for table, own in zip(self._tables, ids, strict=True)], -1)


class PairedPromptEncoder(PromptReader):
    """``input_ids (batch, length)`` -> ``hidden (batch, length, dim_1 + dim_2)`` and ``pooled (batch, dim)``.

    As ``StableDiffusionXLPipeline.encode_prompt`` does it: the last but one hidden states of both models side
    by side, and the second one's projection of the whole prompt. No mask is passed and the denoiser attends
    to every position, so all of them count. What comes behind the states that are read is frozen.

    Args:
        first: Of ``text_encoder``.
        second: Of ``text_encoder_2``; it has the same vocabulary.
        padding: Token that fills up a prompt, of each model: theirs differ.
    """

    def __init__(self, first: CLIPTextModel, second: CLIPTextModelWithProjection, padding: tuple[int, int]):
        super().__init__()
        self.first, self.second, self.padding = first, second, padding
        self._tokens = TokenTables([cast(nn.Embedding, m.get_input_embeddings()) for m in self.models])
        self._freeze_unread()

    @property
    def models(self) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
        """Both of them."""
        return self.first, self.second

    def train_last(self, blocks: int) -> None:
        first, second = (model.config.num_hidden_layers for model in self.models)
        if not 1 <= blocks <= min(first - 1, second):
            raise RedactError(
                f"train_blocks is {blocks}; of the two text encoders {first - 1} and {second} blocks are read, give "
                f"1 to {min(first - 1, second)}."
            )
        train_last(self.first, blocks + 1)
        train_last(self.second, blocks)
        self._freeze_unread()

    def _freeze_unread(self) -> None:
        for unread in (self.first.encoder.layers[-1], self.first.final_layer_norm):
            unread.requires_grad_(False)

    @property
    def tokens(self) -> nn.Module:
        return self._tokens

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        ids, behind = inputs["input_ids"], inputs["attention_mask"] == 0
        own = [ids.masked_fill(behind, filler) for filler in self.padding]
        embeddings, change = self.tokens(*own), inputs.get("disturbance")
        if change is not None:
            embeddings = embeddings + change
        outputs = []
        parts = embeddings.split(self.tokens.widths, -1)
        for model, asked, part in zip(self.models, own, parts, strict=True):
            with answering(model.get_input_embeddings(), lambda _, part=part: part):
                outputs.append(model(input_ids=asked, output_hidden_states=True))
        hidden = torch.cat([one.hidden_states[-2] for one in outputs], -1)
        read = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        return Conditioning(hidden, read, outputs[1].text_embeds)
