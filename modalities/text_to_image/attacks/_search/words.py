"""Tokens that can be said: they survive being written as text and read again."""

from __future__ import annotations

import re

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from modalities.text_to_image.adapters.token_ids import ids_of_each
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from redact_core import PlanRow, RedactError

_END = "</w>"


def speakable(tokenizer: CLIPTokenizer) -> Tensor:
    """``(words,)`` ids of tokens that are whole plain words and are read as themselves.

    Words are split at blanks before anything else, so a prompt of such words, and of text before or
    after them, is read as exactly these tokens: what is found with the ids holds for the text.
    """
    vocabulary = tokenizer.get_vocab()
    tokens = [t for t in vocabulary if t.endswith(_END) and t.removesuffix(_END).isalpha()]
    words = sorted(token.removesuffix(_END) for token in tokens if token.isascii())
    ids = ids_of_each(tokenizer, words)
    known = [vocabulary[word + _END] for word in words]
    return torch.tensor([own for own, read in zip(known, ids, strict=True) if read[1:-1] == [own]])


def spoken(tokenizer: CLIPTokenizer, ids: Tensor) -> str:
    """The text of speakable tokens ``(k,)``."""
    return " ".join(t.removesuffix(_END) for t in tokenizer.convert_ids_to_tokens(ids.tolist()))


def names_of(row: PlanRow, vocabulary: Vocabulary) -> list[str]:
    """How people call what the row asks for, its name first.

    Raises:
        RedactError: The row is not labelled with it.
    """
    kind = row.labels.get("kind", "concept")
    if kind not in row.labels:
        raise RedactError(f'"{row.condition[:60]}" has no label {kind}; add a column {kind} to the plan.')
    name = row.labels[kind]
    concept = vocabulary.find(name) if kind == "concept" else None
    return [name] if concept is None else [concept.name, *concept.seen, *concept.heldout]


def around(row: PlanRow, vocabulary: Vocabulary) -> tuple[str, str, str]:
    """The condition before the subject, the subject as it is written there, and what follows.

    Raises:
        RedactError: The condition does not name what the row is labelled with.
    """
    names = names_of(row, vocabulary)
    found = [
        match
        for name in names
        for match in re.finditer(rf"(?<!\w){re.escape(name)}s?(?!\w)", row.condition, re.IGNORECASE)
    ]
    if not found:
        raise RedactError(f'"{row.condition[:60]}" does not name {names[0]}; this attack works on the name.')
    best = max(found, key=lambda match: (match.end() - match.start(), match.start()))
    return row.condition[: best.start()], best[0], row.condition[best.end() :]
