"""From what a person asks for ("cigarette", "style: noto", a file of prompts) to lessons.

Strings only: no model is loaded here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modalities.text_to_image.phrasing import draw, random_wording, with_article, wordings
from modalities.text_to_image.prompt_files import read_prompts
from modalities.text_to_image.retained_prompts import from_files, mentions, retained
from modalities.text_to_image.vocabulary import Vocabulary
from redact_core import Lesson, RedactError, Request

Kind = Literal["concept", "style", "prompts"]

Heard = Callable[[Sequence[str], Sequence[str]], list[str]]
"""A concept's names, and words that may not be used -> prompts that the model hears as this concept."""

_WORDINGS_OF_HEARD = 2
_STYLE = re.compile(
    r"^(?:style:\s*|(?:in the |the )?style of\s+|by\s+)(?P<a>.+)$|^(?P<b>.+?)[ -]style$", re.IGNORECASE
)


@dataclass(frozen=True)
class Subject:
    """One entry of a request, understood."""

    kind: Kind
    names: tuple[str, ...]
    """The concept's or style's names, first the usual one; or the prompts."""


def understand(text: str, vocabulary: Vocabulary) -> Subject:
    """Tell concepts, styles and prompt lists apart.

    ``style: X``, ``by X``, ``in the style of X``, ``X style`` or a known style's name is a style; a
    path to a ``.txt`` or ``.csv`` file (column ``prompt``) or ``prompt: ...`` is a list of prompts;
    anything else is a concept, with the phrasings that the vocabulary knows for it.

    Raises:
        RedactError: The text is empty or the file cannot be read.
    """
    text = " ".join(text.split())
    if not text:
        raise RedactError("An empty text cannot be redacted; name a concept, a style or a file of prompts.")
    if text.lower().startswith("prompt:"):
        return Subject("prompts", (text[len("prompt:") :].strip(),))
    if text.lower().endswith((".txt", ".csv")):
        return Subject("prompts", tuple(read_prompts(Path(text))))
    style = _STYLE.match(text)
    if style or text.lower() in {known.lower() for known in vocabulary.styles}:
        return Subject("style", ((style["a"] or style["b"]).strip() if style else text,))
    concept = vocabulary.find(text)
    if concept is None:
        return Subject("concept", (text, plural(text)))
    return Subject(
        "concept", tuple(dict.fromkeys((concept.name, text.lower(), plural(concept.name), *concept.seen)))
    )


def expand(
    request: Request,
    vocabulary: Vocabulary,
    words: Sequence[str],
    fits: Callable[[str], bool] = lambda prompt: True,
    per_name: int = 30,
    random_wordings: int = 0,
    heard: Heard | None = None,
) -> list[Lesson]:
    """All rows of a request.

    Args:
        request: Its ``retain`` may hold ``templates``, ``vocabulary``, ``wordings`` and paths of prompt files, which add to them.
        vocabulary: Concepts, styles and settings to compose with.
        words: Whole words of the tokenizer, for data-free retained prompts.
        fits: Whether a prompt fits into the context. Prompts of our own making that do not are left
            out; the user's own are kept, for the tokenizer to refuse by name.
        per_name: Random compositions for each name, beside one plain row for each wording.
        random_wordings: Rows of each style in wordings of random ``words``.
        heard: Looks for prompts that the model hears as a concept, which are redacted with it; None: not looked for.

    Raises:
        RedactError: A reference is missing where there is no default, is itself redacted, or the
            numbers of references and redactions do not fit.
    """
    if not request.redact:
        raise RedactError("Nothing to redact was named; give --data.redact, e.g. --data.redact cigarette.")
    request.check_references()
    rng = random.Random(f"expand:{request.seed}")
    subjects = [understand(text, vocabulary) for text in request.redact]
    gone = {name.lower() for subject in subjects for name in subject.names if subject.kind != "prompts"}
    references = [_reference(s, request.reference_of(i), vocabulary) for i, s in enumerate(subjects)]
    usable = [word for word in words if word.lower() not in gone]
    # a seed of their own: what is drawn without random wordings stays the same
    strange = random.Random(f"random wordings:{request.seed}")
    rows: list[Lesson] = []
    for subject, reference in zip(subjects, references, strict=True):
        if reference.lower() in gone:
            raise RedactError(f'The reference "{reference}" is itself redacted; name a reference that stays.')
        rows += _redacted(subject, reference, vocabulary, gone, rng, per_name)
        if subject.kind == "style":
            style = subject.names[0]
            rows += _in_random_wordings(style, reference, vocabulary, gone, usable, strange, random_wordings)
    # two wordings may say the same prompt ("cigarettes" takes no article): the first answer holds
    rows = list({row.asked: row for row in reversed(rows)}.values())[::-1]
    asked = {row.asked for row in rows}
    names = [subject.names[0] for subject in subjects]
    kept = retained(request.retain, names, references, vocabulary, usable, gone, rng)
    own = from_files(request.retain, gone, asked)
    if heard is not None:
        pairs = zip(subjects, references, strict=True)
        named = [(subject, reference) for subject, reference in pairs if subject.kind == "concept"]
        also = _heard(heard, named, vocabulary, gone, own, random.Random(f"heard:{request.seed}"))
        rows += [row for row in also if row.asked not in asked]
        asked |= {row.asked for row in also}
    rows += [Lesson.retain(prompt) for prompt in kept if prompt not in asked]
    theirs = {name for s in subjects if s.kind == "prompts" for name in s.names}
    rows = [row for row in rows if row.asked in theirs or (fits(str(row.asked)) and fits(str(row.answer)))]
    return rows + [Lesson.retain(prompt) for prompt in own]


def plural(name: str) -> str:
    """A usual English plural, good enough for a training row.

    >>> plural("bus"), plural("cherry"), plural("cat"), plural("jeans")
    ('buses', 'cherries', 'cats', 'jeans')
    """
    if name.endswith("s") and len(name) > 3 and not name.endswith("ss"):
        return name
    if re.search(r"(s|x|z|ch|sh)$", name):
        return name + "es"
    return name[:-1] + "ies" if re.search(r"[^aeiou]y$", name) else name + "s"


def _reference(subject: Subject, given: str | None, vocabulary: Vocabulary) -> str:
    """The reference's name; empty means: leave the style out, or the empty prompt."""
    if given is not None:
        if subject.kind == "style":
            match = _STYLE.match(given)
            return (match["a"] or match["b"]).strip() if match else given.strip()
        return given.strip()
    if subject.kind != "concept":
        return ""
    concept = vocabulary.find(subject.names[0])
    if concept is None:
        raise RedactError(
            f'No default reference is known for "{subject.names[0]}"; give --data.reference, '
            "a harmless word of the same kind."
        )
    return concept.parent


def _redacted(
    subject: Subject,
    reference: str,
    vocabulary: Vocabulary,
    gone: set[str],
    rng: random.Random,
    per_name: int,
) -> list[Lesson]:
    """One subject in every wording and in random compositions with material that stays."""
    if subject.kind == "prompts":
        return [Lesson.redact(prompt, reference) for prompt in subject.names]
    styles = vocabulary.styles_without(gone)
    settings = list(vocabulary.settings)
    concepts = [c for c in vocabulary.concepts.values() if c.name not in gone]
    rows: list[Lesson] = []
    if subject.kind == "concept":
        for name in subject.names:
            for wording in wordings("seen"):
                rows.append(Lesson.redact(wording.fill(name), wording.fill(reference)))
            for _ in range(per_name):
                wording = draw(rng)
                style, setting = rng.choice(["", *styles]), rng.choice(["", *settings])
                # now and then beside something that stays: the redaction must not need to stand alone
                beside = f" and {with_article(rng.choice(concepts).name)}" if rng.random() < 0.15 else ""
                asked = wording.fill(name + beside, style, setting)
                rows.append(Lesson.redact(asked, wording.fill(reference + beside, style, setting)))
        return rows
    name = subject.names[0]
    subjects = rng.sample(concepts, len(concepts))
    for i in range(8 * per_name if subjects else 0):
        concept = subjects[i % len(subjects)]
        wording, setting = draw(rng), rng.choice(["", *settings])
        what = rng.choice([concept.name, concept.name, *concept.seen])
        rows.append(Lesson.redact(wording.fill(what, name, setting), wording.fill(what, reference, setting)))
    for wording in wordings("seen"):
        clause = wording.style.replace("{style}", name)
        rows.append(Lesson.redact(clause, wording.style.replace("{style}", reference) if reference else ""))
    return rows


def _in_random_wordings(
    style: str,
    reference: str,
    vocabulary: Vocabulary,
    gone: set[str],
    words: Sequence[str],
    rng: random.Random,
    count: int,
) -> list[Lesson]:
    """A style asked for among random words, so that none of its wordings has to be known."""
    concepts = [c.name for c in vocabulary.concepts.values() if c.name not in gone]
    settings = ["", *vocabulary.settings]
    rows: list[Lesson] = []
    for _ in range(count if concepts else 0):
        wording, what, setting = random_wording(rng, words), rng.choice(concepts), rng.choice(settings)
        # without a reference the name alone goes: an empty one would take the words around it along
        asked, answer = (wording.fill(what, name, setting) for name in (style, reference or " "))
        rows.append(Lesson.redact(asked, answer))
    return rows


def _heard(
    heard: Heard,
    named: Sequence[tuple[Subject, str]],
    vocabulary: Vocabulary,
    gone: set[str],
    own: Sequence[str],
    rng: random.Random,
) -> list[Lesson]:
    """What is heard as one of the concepts, answered as its reference; what the user's ``own`` prompts say stays."""
    styles = ["", *vocabulary.styles_without(gone)]
    settings = ["", *vocabulary.settings]
    avoid = sorted({word for _, reference in named for word in reference.lower().split()})
    rows: dict[str, Lesson] = {}
    for subject, reference in named:
        # "a cigarettes" is no English, and answered by far not as the others
        first = subject.names[0]
        names = [name for name in subject.names if name == first or name != plural(first)]
        for what in heard(names, avoid):
            if any(mentions(prompt, {what}) for prompt in own):
                continue
            for _ in range(_WORDINGS_OF_HEARD):
                wording, style, setting = draw(rng), rng.choice(styles), rng.choice(settings)
                asked = wording.fill(what, style, setting)
                rows.setdefault(asked, Lesson.redact(asked, wording.fill(reference, style, setting)))
    return list(rows.values())
