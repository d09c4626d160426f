"""Free tokens in a prompt, whose embeddings may be moved: the continuous input of a prompt encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from modalities.text_to_image.adapters.prompt_encoder import FILLER, token_table
from modalities.text_to_image.adapters.token_ids import token_ids
from redact_core import Conditioning, Disturbable


def in_front(
    inputs: Mapping[str, Tensor], encoder: nn.Module, tokenizer: CLIPTokenizer, tokens: int
) -> Disturbable:
    """Prompts with ``tokens`` free places after the start token; the unit is the table's mean norm.

    A prompt that does not fit with them stays as it is, and nothing of it can be moved.
    Points are the vocabulary's whole words.
    An answer is arranged so: what belongs to the words moves with them, what stands after the end stays,
    for there every position holds the whole prompt; the free places do not count.

    Args:
        inputs: ``input_ids`` and ``attention_mask (batch, length)``.
        encoder: Holds a CLIP text model.
        tokenizer: Of the model.
        tokens: How many.

    Raises:
        RedactError: The encoder holds no CLIP text model.
    """
    filler = _filler(tokenizer)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    place = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    ends = mask.sum(1, keepdim=True) + tokens
    room = ends <= ids.shape[1]
    source = torch.where(room & (place > tokens), place - tokens, place)
    free = room & (place > 0) & (place <= tokens)
    shifted = {
        "input_ids": ids.gather(1, source).masked_fill(free, filler),
        "attention_mask": mask.gather(1, source).masked_fill(free, 1),
    }
    arranged_from = torch.where(place < ends, source, place)

    def arranged(conditioning: Conditioning) -> Conditioning:
        index = arranged_from.unsqueeze(-1).expand(-1, -1, conditioning.hidden.shape[-1])
        return Conditioning(
            conditioning.hidden.gather(1, index),
            conditioning.mask.gather(1, arranged_from) & ~free,
            conditioning.pooled,
        )

    return _movable(shifted, free, arranged, encoder, tokenizer)


def name_replacement(
    asked: Mapping[str, Tensor],
    answered: Mapping[str, Tensor],
    encoder: nn.Module,
    tokenizer: CLIPTokenizer,
    tokens: int,
) -> Disturbable:
    """Prompts with ``tokens`` free places for those of their tokens that another prompt does not share.

    What two prompts share is their common beginning and their common end. A prompt that does not fit stays
    as it is, nothing of it can be moved, and nothing of its answer counts. Of the others' answers those
    positions count that stand behind the end, before and after.

    Args:
        asked: ``input_ids`` and ``attention_mask (batch, length)``.
        answered: The same of the other prompts.
        encoder: Holds a CLIP text model.
        tokenizer: Of the model.
        tokens: How many.

    Raises:
        RedactError: The encoder holds no CLIP text model.
    """
    filler = _filler(tokenizer)
    ids, mask = asked["input_ids"].clone(), asked["attention_mask"].clone()
    free = torch.zeros_like(ids, dtype=torch.bool)
    behind, padding = mask == 0, int(str(tokenizer.pad_token_id))
    for row in range(len(ids)):
        own = ids[row, : int(mask[row].sum())].tolist()
        other = answered["input_ids"][row, : int(answered["attention_mask"][row].sum())].tolist()
        first = _shared(own, other)
        last = _shared(own[first:][::-1], other[first:][::-1])
        line = own[:first] + [filler] * tokens + own[len(own) - last :]
        if len(line) > ids.shape[1]:
            behind[row] = False
            continue
        free[row, first : first + tokens] = True
        ids[row, : len(line)] = torch.tensor(line, device=ids.device)
        ids[row, len(line) :] = padding
        mask[row, : len(line)], mask[row, len(line) :] = 1, 0
        behind[row, : len(line)] = False
    placed = {"input_ids": ids, "attention_mask": mask}

    def arranged(conditioning: Conditioning) -> Conditioning:
        return replace(conditioning, mask=conditioning.mask & behind)

    return _movable(placed, free, arranged, encoder, tokenizer)


def _shared(a: list[int], b: list[int]) -> int:
    """How many first items agree."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _movable(
    placed: Mapping[str, Tensor],
    free: Tensor,
    arranged: Callable[[Conditioning], Conditioning],
    encoder: nn.Module,
    tokenizer: CLIPTokenizer,
) -> Disturbable:
    """Prompts with :data:`.FILLER` at the places ``free (batch, length)``, which may be moved from there."""
    table = token_table(encoder)
    return Disturbable(
        free * table.norm(dim=1).mean(),
        table.shape[1],
        lambda change: {**placed, "disturbance": change},
        arranged,
        table[_plain_words(tokenizer).to(table.device)] - table[_filler(tokenizer)],
    )


def _filler(tokenizer: CLIPTokenizer) -> int:
    return token_ids(tokenizer, FILLER)[1]


@lru_cache(maxsize=4)  # asked for in every step of a training
def _plain_words(tokenizer: CLIPTokenizer) -> Tensor:
    """Ids of tokens that end a word and are made of letters."""
    known = tokenizer.get_vocab().items()
    return torch.tensor(
        sorted(i for token, i in known if token.removesuffix("</w>").isalpha() and token.endswith("</w>"))
    )
