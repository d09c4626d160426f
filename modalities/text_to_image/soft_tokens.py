"""Free tokens in front of prompts, whose embeddings may be moved: the continuous input of a prompt encoder."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from redact_core import Conditioning, Disturbable, RedactError

FILLER = "a"
"""Stands at a free place; a disturbance moves away from it."""


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
    text = next((m for m in encoder.modules() if isinstance(m, CLIPTextModel)), None)
    if text is None:
        raise RedactError(f"{type(encoder).__name__} holds no CLIPTextModel; soft tokens need one.")
    table = text.get_input_embeddings().get_parameter("weight").detach()
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    place = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    ends = mask.sum(1, keepdim=True) + tokens
    room = ends <= ids.shape[1]
    source = torch.where(room & (place > tokens), place - tokens, place)
    free = room & (place > 0) & (place <= tokens)
    filler = tokenizer(FILLER, verbose=False)["input_ids"][1]
    shifted = {
        "input_ids": ids.gather(1, source).masked_fill(free, filler),
        "attention_mask": mask.gather(1, source).masked_fill(free, 1),
    }
    arranged_from = torch.where(place < ends, source, place)

    def arranged(said: Conditioning) -> Conditioning:
        index = arranged_from.unsqueeze(-1).expand(-1, -1, said.hidden.shape[-1])
        return Conditioning(
            said.hidden.gather(1, index), said.mask.gather(1, arranged_from) & ~free, said.pooled
        )

    return Disturbable(
        free * table.norm(dim=1).mean(),
        table.shape[1],
        lambda change: shifted | {"disturbance": change},
        arranged,
        table[_plain_words(tokenizer, table.device)] - table[filler],
    )


def _plain_words(tokenizer: CLIPTokenizer, device: torch.device) -> Tensor:
    """Ids of tokens that end a word and are made of letters."""
    known = tokenizer.get_vocab().items()
    ids = sorted(i for token, i in known if token.removesuffix("</w>").isalpha() and token.endswith("</w>"))
    return torch.tensor(ids, device=device)
