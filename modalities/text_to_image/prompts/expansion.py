"""From what a person asks for ("cigarette", "style: noto", a file of prompts) to lessons.

Strings only: no model is loaded here.
"""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from modalities.text_to_image.prompts.artists import family_name
from modalities.text_to_image.prompts.names import (
    Identity,
    check_one,
    plainly,
    says,
    tidied,
    without_article,
)
from modalities.text_to_image.prompts.phrasing import draw, with_article, wordings
from modalities.text_to_image.prompts.prompt_files import read_prompts
from modalities.text_to_image.prompts.retained_prompts import from_files, mentions, retained
from modalities.text_to_image.prompts.shares import PromptRows, share
from modalities.text_to_image.prompts.style_rows import StyleRows
from modalities.text_to_image.prompts.vocabulary import Vocabulary, plural
from redact_core import Lesson, RedactError, Request
from redact_core.support.paths import at_home

Kind = Literal["concept", "style", "prompts"]

FindSynonyms = Callable[[Sequence[str], Sequence[str]], list[str]]
"""A concept's names, and words that may not be used -> prompts that the model takes for this concept."""

_WORDINGS_OF_HEARD = 2
_OF_STYLE = 8
"""Random compositions of a style for each of ``per_name``."""
_STYLE = re.compile(
    r"^(?:style:\s*|(?:in the |the )?style of\s+|by\s+)(?P<a>.+)$|^(?P<b>.+?)[ -]style$", re.IGNORECASE
)


_NO_STYLE = {"style:", "styleof", "thestyleof", "inthestyleof"}
"""What begins the name of a style, alone and without blanks."""


@dataclass(frozen=True)
class Subject:
    """One entry of a request, understood."""

    kind: Kind
    names: tuple[str, ...]
    """The concept's or style's names, first the usual one, then of a style an artist's family name; or the prompts."""


def understand(text: str, vocabulary: Vocabulary) -> Subject:
    """Tell concepts, styles and prompt lists apart.

    ``style: X``, ``by X``, ``in the style of X``, ``X style`` or a known style's name is a style; a
    path to a ``.txt`` or ``.csv`` file (column ``prompt``) or ``prompt: ...`` is a list of prompts;
    anything else is a concept, with the phrasings that the vocabulary knows for it. An article in front
    does not belong to a name.

    Raises:
        RedactError: The text is empty or several names, or the file cannot be read or is of another kind.
    """
    given, text = text.strip(), " ".join(text.split())
    if not text:
        raise RedactError("An empty text cannot be redacted; name a concept, a style or a file of prompts.")
    if text.lower().startswith("prompt:"):
        prompt = text[len("prompt:") :].strip()
        if not prompt:
            raise RedactError("An empty prompt cannot be redacted; write it behind prompt: .")
        return Subject("prompts", (prompt,))
    if text.lower().replace(" ", "") in _NO_STYLE:
        raise RedactError(f"{text} names no style; write its name behind it.")
    if text.lower().endswith((".txt", ".csv")):
        return Subject("prompts", tuple(read_prompts(Path(given))))
    _check_no_path(given)
    check_one(
        given, lambda name: _style(name, vocabulary) is not None or bool(vocabulary.find(name)), "redact"
    )
    text = tidied(text)
    style = _style(text, vocabulary) or _STYLE.match(text)
    if style is not None:
        name = style if isinstance(style, str) else _called(style)
        family = family_name(name, [other for other in vocabulary.styles if other.lower() != name.lower()])
        return Subject("style", (name,) if family is None else (name, family))
    concept, bare = vocabulary.find(text), without_article(text)
    if concept is not None:
        own = (concept.name, bare.lower(), plural(concept.name), *concept.seen)
        return Subject("concept", tuple(dict.fromkeys(own)))
    # "the" may belong to a name that is not known (the Eiffel Tower), "a" is put there by the wordings
    names = (bare,) if text.lower().startswith(("a ", "an ")) else (text, bare)
    return Subject("concept", tuple(dict.fromkeys((*names, plural(bare)))))


def _called(match: re.Match[str]) -> str:
    return without_article((match["a"] or match["b"]).strip())


def _style(text: str, vocabulary: Vocabulary) -> str | None:
    """The known style that ``text`` names, with or without words that say that it is a style."""
    match = _STYLE.match(tidied(text))
    return vocabulary.style(_called(match) if match else text)


def _check_no_path(text: str) -> None:
    """Refuse what is a file or a folder here: it is no name."""
    path = at_home(text) if text.startswith("~") else Path(text)
    looks_so = "/" in text or bool(path.suffix)
    try:
        there = looks_so and path.exists()
    except OSError:  # longer than a path may be
        return
    if there:
        raise RedactError(
            f"{text} is a {'folder' if path.is_dir() else 'file'}; prompts are read from .txt files, one a line, or "
            ".csv files with a column prompt. Give one of these, or a name."
        )


def expand(
    request: Request,
    vocabulary: Vocabulary,
    words: Sequence[str],
    fits: Callable[[str], bool] = lambda prompt: True,
    amounts: PromptRows = PromptRows(),  # noqa: B008 frozen
    find_synonyms: FindSynonyms | None = None,
    identity: Identity = plainly,
    note: Callable[[str], None] = lambda remark: None,
) -> list[Lesson]:
    """All rows of a request.

    Args:
        request: Its ``retain`` may hold ``templates``, ``vocabulary``, ``wordings`` and paths of prompt files, which add to them.
        vocabulary: Concepts, styles and settings to compose with.
        words: Whole words of the tokenizer, for data-free retained prompts.
        fits: Whether a prompt fits into the context. Prompts of our own making that do not are left
            out; the user's own are kept, for the tokenizer to refuse by name.
        amounts: How many rows.
        find_synonyms: Looks for prompts that the model takes for a concept, which are redacted with it; None: not looked for.
        identity: What the encoder reads of a prompt: prompts that it reads alike are one.
        note: Gets a sentence on what was left out of our own making.

    Raises:
        RedactError: A concept has no reference (:mod:`.references` chooses one, with a model), a reference is itself
            redacted, or the numbers of references and redactions do not fit; one thing is named twice, with two
            references; no prompt with a name fits.
    """
    if not request.redact:
        raise RedactError("Nothing to redact was named; give --data.redact, e.g. --data.redact cigarette.")
    request.check_references()
    rng = random.Random(f"expand:{request.seed}")
    subjects = [understand(text, vocabulary) for text in request.redact]
    references = [reference_of(s, request.reference_of(i), vocabulary) for i, s in enumerate(subjects)]
    subjects, references = _once(subjects, references, request.redact, identity)
    gone = names_of(subjects)
    gone_read = {identity(name) for name in gone}
    usable = [word for word in words if word.lower() not in gone]
    # a seed of their own: what is drawn without random wordings stays the same
    strange = random.Random(f"random wordings:{request.seed}")
    slipping = random.Random(f"misspellings:{request.seed}")
    made = [subject for subject in subjects if subject.kind != "prompts"]
    sizes = [_size(subject, amounts.random_wordings) for subject in made]
    shares = share(sizes, amounts.per_name, amounts.most_rows, request.seed)
    if remark := shares.remark(amounts.per_name, len(made)):
        note(remark)
    styles = sum(subject.kind == "style" for subject in made)
    slips = min(amounts.misspellings, shares.room // styles) if styles else 0
    if styles and slips < amounts.misspellings:
        note(
            f"{len(made)} names are redacted together, so each style has only {slips} rows of misspelt names."
        )
    rows: list[Lesson] = []
    for place, (subject, reference) in enumerate(zip(subjects, references, strict=True)):
        if reference and (reference.lower() in gone or identity(reference) in gone_read):
            raise RedactError(f'The reference "{reference}" is itself redacted; name a reference that stays.')
        before = len(rows)
        of_subject = _redacted(subject, reference, vocabulary, gone, rng, shares.per_name)
        if subject.kind == "style":
            stays = [concept.name for concept in vocabulary.concepts.values() if concept.name not in gone]
            more = StyleRows(subject.names[0], reference, stays, vocabulary)
            of_subject += more.in_random_wordings(usable, strange, amounts.random_wordings)
            of_subject += more.misspelt(words, slipping, slips)
        rows += of_subject if subject.kind == "prompts" else shares.cut(of_subject, place)
        if subject.kind != "prompts" and not any(fits(str(row.asked)) for row in rows[before:]):
            raise RedactError(
                f'No prompt with "{subject.names[0]:.60}" fits into what the encoder reads; shorten it.'
            )
    # two wordings may say the same prompt ("cigarettes" takes no article): the first answer holds
    rows = list({identity(str(row.asked)): row for row in reversed(rows)}.values())[::-1]
    asked = {identity(str(row.asked)) for row in rows}
    names = [subject.names[0] for subject in subjects]
    kept = retained(request.retain, names, references, vocabulary, usable, gone, rng)
    own = from_files(request.retain, gone, asked, identity)
    if find_synonyms is not None:
        pairs = zip(subjects, references, strict=True)
        named = [(subject, reference) for subject, reference in pairs if subject.kind == "concept"]
        also = _synonym_rows(
            find_synonyms,
            named,
            vocabulary,
            gone,
            own,
            random.Random(f"heard:{request.seed}"),
            identity,
        )
        rows += [row for row in also if identity(str(row.asked)) not in asked]
        asked |= {identity(str(row.asked)) for row in also}
    rows += [Lesson.retain(prompt) for prompt in kept if identity(prompt) not in asked]
    theirs = {name for s in subjects if s.kind == "prompts" for name in s.names}
    fitting = [row for row in rows if row.asked in theirs or (fits(str(row.asked)) and fits(str(row.answer)))]
    if len(fitting) < len(rows):
        note(
            f"{len(rows) - len(fitting)} of {len(rows)} rows of our own making are longer than the encoder reads and "
            "are left out."
        )
    return fitting + [Lesson.retain(prompt) for prompt in own]


def _once(
    subjects: Sequence[Subject], references: Sequence[str], given: Sequence[str], identity: Identity
) -> tuple[list[Subject], list[str]]:
    """Subjects with their references, each once.

    Raises:
        RedactError: One has two references.
    """
    found: dict[tuple[str, str], int] = {}
    for i, subject in enumerate(subjects):
        for name in subject.names if subject.kind == "prompts" else subject.names[:1]:
            first = found.setdefault((subject.kind, identity(name)), i)
            if first != i and identity(references[first]) != identity(references[i]):
                raise RedactError(
                    f'"{given[first]}" and "{given[i]}" name the same, but have two references, "{references[first]}" '
                    f'and "{references[i]}"; keep one.'
                )
    kept = [
        i
        for i, subject in enumerate(subjects)
        if subject.kind == "prompts" or found[subject.kind, identity(subject.names[0])] == i
    ]
    for i in sorted({*range(len(subjects))} - {*kept}):
        warnings.warn(f'"{given[i]}" names what was named before; it is redacted once.', stacklevel=2)
    # what is named by itself is answered as it is said there
    own = {subjects[i].names[0].lower() for i in kept if subjects[i].kind == "style"}
    once = [
        replace(
            subjects[i],
            names=tuple(n for k, n in enumerate(subjects[i].names) if not k or n.lower() not in own),
        )
        if subjects[i].kind == "style"
        else subjects[i]
        for i in kept
    ]
    return once, [references[i] for i in kept]


def names_of(subjects: Sequence[Subject]) -> set[str]:
    """Lower-case names of all redacted concepts and styles."""
    return {name.lower() for subject in subjects for name in subject.names if subject.kind != "prompts"}


def reference_of(subject: Subject, given: str | None, vocabulary: Vocabulary) -> str:
    """The reference's name; empty means: leave the style out, or the empty prompt.

    Args:
        subject: What is redacted.
        given: As the owner or a choice named it; None: not at all.
        vocabulary: Of the model; a name that it knows is meant as it is known.

    Raises:
        RedactError: A concept has none.
    """
    if given is not None:
        if subject.kind == "prompts":
            return given.strip()
        if given.lower().replace(" ", "") in _NO_STYLE:
            raise RedactError(f"{given} names no style; write its name behind it, or no reference.")
        if subject.kind == "style":
            check_one(given, lambda name: _style(name, vocabulary) is not None, "reference")
            match = _STYLE.match(tidied(given))
            return _style(given, vocabulary) or (_called(match) if match else tidied(given))
        check_one(given, lambda name: bool(vocabulary.find(name)), "reference")
        text = tidied(given)
        bare = without_article(text)
        if bare.lower() in vocabulary.concepts:
            return bare.lower()
        return bare if text.lower().startswith(("a ", "an ")) or vocabulary.find(bare) else text
    if subject.kind == "concept":
        raise RedactError(
            f'No reference is named for "{subject.names[0]}"; name a harmless word of the same kind.'
        )
    return ""


def _size(subject: Subject, random_wordings: int) -> tuple[int, int]:
    """Rows whatever ``per_name`` is, and random compositions for each of it."""
    plain = len(wordings("seen"))
    if subject.kind == "style":
        return plain * len(subject.names) + random_wordings, _OF_STYLE * len(subject.names)
    return plain * len(subject.names), len(subject.names)


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
    for name in subject.names:
        subjects = rng.sample(concepts, len(concepts))
        for i in range(_OF_STYLE * per_name if subjects else 0):
            concept = subjects[i % len(subjects)]
            wording, setting = draw(rng), rng.choice(["", *settings])
            what = rng.choice([concept.name, concept.name, *concept.seen])
            asked, answer = (wording.fill(what, style, setting) for style in (name, reference))
            rows.append(Lesson.redact(asked, answer))
        for wording in wordings("seen"):
            clause = wording.style.replace("{style}", name)
            rows.append(
                Lesson.redact(clause, wording.style.replace("{style}", reference) if reference else "")
            )
    return rows


def _synonym_rows(
    find_synonyms: FindSynonyms,
    named: Sequence[tuple[Subject, str]],
    vocabulary: Vocabulary,
    gone: set[str],
    own: Sequence[str],
    rng: random.Random,
    identity: Identity,
) -> list[Lesson]:
    """What is taken for one of the concepts, answered as its reference; what the user's ``own`` prompts say stays."""
    styles = ["", *vocabulary.styles_without(gone)]
    settings = ["", *vocabulary.settings]
    avoid = sorted({word for _, reference in named for word in reference.lower().split()})
    rows: dict[str, Lesson] = {}
    for subject, reference in named:
        # "a cigarettes" is no English, and answered by far not as the others
        first = subject.names[0]
        names = [name for name in subject.names if name == first or name != plural(first)]
        for what in find_synonyms(names, avoid):
            if any(mentions(prompt, {what}) or says(identity, prompt, what) for prompt in own):
                continue
            for _ in range(_WORDINGS_OF_HEARD):
                wording, style, setting = draw(rng), rng.choice(styles), rng.choice(settings)
                asked = wording.fill(what, style, setting)
                rows.setdefault(asked, Lesson.redact(asked, wording.fill(reference, style, setting)))
    return list(rows.values())
