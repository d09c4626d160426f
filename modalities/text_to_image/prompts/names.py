"""Names as people write them: spelling, articles, and several names in one text. Strings only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from redact_core import RedactError

Identity = Callable[[str], str]
"""A prompt -> its words as the encoder reads them, with a blank between two words; of several tokenizers that read it
differently, one reading behind the other with :data:`OR` between them."""
OR = "\x1f"
"""Between two readings of a prompt; no tokenizer has it in a word of its own."""

_ARTICLES = {"a", "an", "the"}
_BETWEEN = re.compile(r"\s*(?:,|/|&|\+|\band\b|\bor\b)\s*", re.IGNORECASE)
"""What also stands between two names, but in many a prompt as well."""


def tidied(text: str) -> str:
    """``text`` in composed letters (NFC), with one blank for each run of blanks.

    >>> tidied(" a   cigarette ")
    'a cigarette'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def plainly(prompt: str) -> str:
    """The words of a prompt as CLIP's tokenizers split them, for use without a tokenizer.

    >>> plainly("A  lit Cigarette, by Monet")
    'a lit cigarette , by monet'
    """
    return " ".join(re.findall(r"[^\W\d_]+|\d|[^\w\s]+|_+", tidied(prompt).lower()))


def says(identity: Identity, prompt: str, name: str) -> bool:
    """Does the encoder read ``name`` in ``prompt`` as whole words, by any of its tokenizers?"""
    wanted, read = identity(name).split(OR), identity(prompt).split(OR)
    many = max(len(wanted), len(read))  # one reading is that of all tokenizers
    pairs = zip(wanted * (many // len(wanted)), read * (many // len(read)), strict=True)
    return any(one.strip() and f" {one.strip()} " in f" {other.strip()} " for one, other in pairs)


def without_article(name: str) -> str:
    """The name without the article at its beginning; an article alone stays.

    >>> without_article("A cigarette"), without_article("theatre"), without_article("the")
    ('cigarette', 'theatre', 'the')
    """
    first, _, rest = name.partition(" ")
    return rest.strip() if rest.strip() and first.lower() in _ARTICLES else name


def check_one(text: str, known: Callable[[str], bool], option: str) -> None:
    """Refuse a text that is several names, which would be taken for one that means nothing.

    Args:
        text: As it was given; nothing is said against what is known as it stands.
        known: Whether a text names something.
        option: Where it was given, for the message.

    Raises:
        RedactError: There is ``;``, ``|`` or a new line in it, or a list's bracket, or it is known names
            with a comma, ``and`` or the like between them.
    """
    if known(tidied(text)):
        return
    parts = [part.strip() for part in re.split(r"[;|\n\[\]]", text) if part.strip()]
    if not re.search(r"[;|\n]|^\s*\[|\]\s*$", text.strip()):
        parts = [part for part in _BETWEEN.split(tidied(text)) if part]
        if len(parts) < 2 or not all(map(known, parts)):
            return
    listed = ", ".join(parts)
    raise RedactError(
        f'"{tidied(text)}" would be one name; give several as a list, --data.{option} "[{listed}]", or the option '
        "once for each. A prompt with such a sign in it is written prompt: ..., or stands in a file."
    )
