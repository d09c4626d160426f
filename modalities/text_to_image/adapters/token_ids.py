"""What a tokenizer reads in texts; threads take turns at it.

A tokenizer of the library is asked how to pad and cut by a state of its own, which each call sets and then uses. Two
threads that call one tokenizer get each other's padding, or an error of the library ("Already borrowed"), so nothing
here calls a tokenizer but by these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from modalities.text_to_image.adapters.turns import turn


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """All tokens of a text, those of its beginning and end too, neither padded nor cut."""
    return ids_of_each(tokenizer, [text])[0]


def ids_of_each(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """:func:`token_ids` of several texts."""
    with turn(tokenizer):
        found: Any = tokenizer(list(texts), verbose=False)["input_ids"] if texts else []
    return found


def token_batch(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], length: int, padding: str = "max_length"
) -> Any:
    """The library's batch of tensors ``(texts, tokens)``, padded, and cut at ``length`` tokens.

    Args:
        tokenizer: Of a model.
        texts: At least one.
        length: Tokens at most.
        padding: ``max_length`` or ``longest``, as the library calls them.
    """
    with turn(tokenizer):
        return tokenizer(
            list(texts), padding=padding, max_length=length, truncation=True, return_tensors="pt"
        )


def pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """The tokens of a text as the vocabulary writes them, without those of its beginning and end."""
    with turn(tokenizer):
        return tokenizer.tokenize(text)
