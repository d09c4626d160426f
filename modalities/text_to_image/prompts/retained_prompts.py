"""Prompts whose answers must not move. Strings only: no model is loaded here."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Sequence
from functools import lru_cache

from modalities.text_to_image.prompts.names import Identity, plainly, says
from modalities.text_to_image.prompts.phrasing import draw, tidy, wordings
from modalities.text_to_image.prompts.prompt_files import read_prompts
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from redact_core import RedactError
from redact_core.support.paths import at_home

_USUAL = ("templates", "vocabulary")
"""Where retained prompts come from unless sources are named: known concepts in our wordings, the tokenizer's words."""
_SOURCES = (*_USUAL, "wordings")
"""Also: the tokenizer's words in our wordings. They stand for all that nobody thought of naming, other names included."""
_VOCABULARY, _WORDINGS = 400, 1200
"""Prompts of the tokenizer's words, of either kind."""


def retained(
    sources: Sequence[str],
    names: Sequence[str],
    references: Sequence[str],
    vocabulary: Vocabulary,
    words: Sequence[str],
    gone: set[str],
    rng: random.Random,
) -> list[str]:
    """Retained prompts of our own making; the empty one is always there: guidance subtracts its answer.

    Args:
        sources: ``templates``, ``vocabulary``, ``wordings``, or files, which are passed over; none of our own: the first two.
        names: Of what is redacted.
        references: What they are answered as.
        vocabulary: Concepts, styles and settings to compose with.
        words: Whole words of the tokenizer, none of what is gone.
        gone: What no prompt may mention.
        rng: Of the drawing.
    """
    prompts = [""]
    styles = ["", *vocabulary.styles_without(gone)]
    # files come on top: a handful of prompts alone would leave everything else to chance
    for source in [source for source in sources if source in _SOURCES] or _USUAL:
        if source == "templates":
            prompts += _templates(names, references, vocabulary, styles, gone, rng)
        elif source == "vocabulary":
            prompts += [tidy(" ".join(rng.choices(words, k=rng.randint(1, 8)))) for _ in range(_VOCABULARY)]
        elif source == "wordings":
            for _ in range(_WORDINGS):
                what = " ".join(rng.choices(words, k=rng.choice((1, 1, 2, 3))))
                prompts.append(
                    draw(rng).fill(what, rng.choice(styles), rng.choice(["", *vocabulary.settings]))
                )
    # "hot dog" stays when "dog" goes: a concept's own longer name is not a mention
    longer = {c for c in vocabulary.concepts if c not in gone and mentions(c, gone)}
    return [p for p in dict.fromkeys(prompts) if not mentions(_without(p, longer), gone)]


def from_files(
    sources: Sequence[str], gone: set[str], asked: set[str], identity: Identity = plainly
) -> list[str]:
    """The user's own retained prompts, but for those that mention what shall be gone.

    A prompt that is itself redacted stays in, so that the contradiction is reported.

    Args:
        sources: As for :func:`retained`; those that are no files are passed over.
        gone: What shall be gone.
        asked: Redacted prompts, as the encoder reads them.
        identity: What the encoder reads of a prompt.

    Raises:
        RedactError: There is no such file, or it cannot be read.
    """
    files = [at_home(source) for source in sources if source not in _SOURCES]
    for path in files:
        if not path.exists():
            raise RedactError(
                f"{path}: no such file; --data.retain takes files of prompts and {', '.join(_SOURCES)}."
            )
    given = [prompt for path in files for prompt in read_prompts(path)]
    prompts = list({identity(prompt): prompt for prompt in reversed(given)}.values())[::-1]
    if len(prompts) < len(given):
        warnings.warn(
            f"{len(given) - len(prompts)} of {len(given)} retained prompts are others again to the encoder, in another "
            "spelling or in another file; each is used once.",
            stacklevel=2,
        )
    dropped = [
        prompt
        for prompt in prompts
        if identity(prompt) not in asked
        and (mentions(prompt, gone) or any(says(identity, prompt, name) for name in gone))
    ]
    if dropped:
        warnings.warn(
            f"{len(dropped)} of {len(prompts)} retained prompts mention what is redacted and are left out, "
            f'the first is "{dropped[0][:60]}".',
            stacklevel=2,
        )
    left_out = set(dropped)
    return [prompt for prompt in prompts if prompt not in left_out]


def mentions(prompt: str, names: set[str]) -> bool:
    """Does the prompt contain one of the names as whole words?"""
    return bool(names) and _any_of(frozenset(names)).search(prompt.lower()) is not None


@lru_cache(maxsize=64)
def _any_of(names: frozenset[str]) -> re.Pattern[str]:
    """Finds one of the names as whole words."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(names)))})(?!\w)")


def _templates(
    names: Sequence[str],
    references: Sequence[str],
    vocabulary: Vocabulary,
    styles: Sequence[str],
    gone: set[str],
    rng: random.Random,
) -> list[str]:
    """Every concept in several wordings; references and what is related to something redacted in more."""
    known = [concept for name in names if (concept := vocabulary.find(name))]
    near = {other.name for concept in known for other in vocabulary.neighbours(concept)}
    prompts: list[str] = []
    for concept in vocabulary.concepts.values():
        if concept.name in gone:
            continue
        for k in range(12 if concept.name in near or concept.name in references else 6):
            others = (concept.name, concept.parent, *concept.seen, *concept.seen)
            what = concept.name if k < 2 else rng.choice(others)
            prompts.append(draw(rng).fill(what, rng.choice(styles), rng.choice(["", *vocabulary.settings])))
    for reference in dict.fromkeys(references):
        prompts += [wording.fill(reference) for wording in wordings("seen") if reference]
    return prompts


def _without(prompt: str, names: set[str]) -> str:
    for name in names:
        prompt = prompt.replace(name, " ")
    return prompt
