"""How people ask for a picture: a subject, an artist's style, a setting. Strings only, no model.

Two disjoint sets of wordings, ``seen`` and ``heldout``: redaction is taught on the first, and the
second grades whether it reaches wordings that it was never taught.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Split = Literal["seen", "heldout", "both"]

_FRAMES = {
    "seen": (
        "{what}", "{a what}", "a picture of {a what}", "a drawing of {a what}", "an icon of {a what}",
        "an illustration of {a what}", "a small {what}", "one {what}, centered", "{what} clip art",
        "a cute {what}", "this is {a what}", "{a what} on its own",
    ),
    "heldout": (
        "a sticker showing {a what}", "please draw {a what}", "an artwork depicting {a what}",
        "show me {a what}", "a simple sketch of {a what}", "image: {what}",
    ),
}  # fmt: skip
_STYLES = {
    "seen": (
        "in the style of {style}", "in {style} style", "by {style}", "drawn by {style}", "{style} style",
        "as a {style} design",
    ),
    "heldout": ("the way {style} would draw it", "made by the artist {style}", "{style} artwork"),
}  # fmt: skip
_SETTINGS = {
    "seen": (
        "on a {setting} background", "against {setting}", "with a {setting} background",
        "{setting} background", "on {setting}",
    ),
    "heldout": ("in front of a {setting} wall", "surrounded by {setting}", "over a {setting} backdrop"),
}  # fmt: skip
_ORDERS = ("{frame} {style} {setting}", "{frame}, {style}, {setting}", "{frame} {setting} {style}",
           "{frame} {setting}, {style}", "{style}: {frame}, {setting}")  # fmt: skip


@dataclass(frozen=True)
class Wording:
    """A way of asking, with holes for the subject, the style and the setting.

    Filling one wording with two subjects gives two prompts that differ in the subject alone:
    that is what a redacted row and its answer are.
    """

    frame: str
    style: str
    setting: str
    order: str

    def fill(self, what: str, style: str = "", setting: str = "") -> str:
        """The prompt; an empty ``style`` or ``setting`` leaves its clause out."""
        frame = self.frame.replace("{a what}", with_article(what)).replace("{what}", what)
        parts = {
            "{frame}": frame,
            "{style}": self.style.replace("{style}", style) if style else "",
            "{setting}": self.setting.replace("{setting}", setting) if setting else "",
        }
        prompt = self.order if style else self.order.replace("{style}: ", "")
        for hole, text in parts.items():
            prompt = prompt.replace(hole, text)
        return tidy(prompt)


def draw(rng: random.Random, split: Split = "seen") -> Wording:
    """A random wording, every clause from ``split``."""
    return Wording(
        rng.choice(_choices(_FRAMES, split)),
        rng.choice(_choices(_STYLES, split)),
        rng.choice(_choices(_SETTINGS, split)),
        rng.choice(_ORDERS),
    )


def random_wording(rng: random.Random, words: Sequence[str]) -> Wording:
    """A wording that nobody uses: up to three random words before each hole, and up to two behind it."""

    def around(hole: str) -> str:
        before, after = (rng.choices(words, k=rng.randint(0, most)) for most in (3, 2))
        return " ".join([*before, hole, *after])

    return Wording(around("{what}"), around("{style}"), around("{setting}"), rng.choice(_ORDERS))


def wordings(split: Split = "seen") -> list[Wording]:
    """One wording for each frame, style and setting clause of ``split``; none is left out."""
    frames, styles, settings = (_choices(table, split) for table in (_FRAMES, _STYLES, _SETTINGS))
    count = max(map(len, (frames, styles, settings, _ORDERS)))

    def at(clauses: tuple[str, ...], i: int) -> str:
        return clauses[i % len(clauses)]

    return [Wording(at(frames, i), at(styles, i), at(settings, i), at(_ORDERS, i)) for i in range(count)]


def with_article(what: str) -> str:
    """``an apple``, ``a cat``; what begins with an article or looks plural is left as it is.

    >>> with_article("apple"), with_article("jeans"), with_article("the sea")
    ('an apple', 'jeans', 'the sea')
    """
    if what.startswith(("a ", "an ", "the ")) or (what.endswith("s") and not what.endswith("ss")):
        return what
    return f"{'an' if what[:1].lower() in set('aeiou') else 'a'} {what}"


def tidy(prompt: str) -> str:
    """Collapse the blanks and commas that clauses left out leave behind.

    >>> tidy("a cat, , on blue ")
    'a cat, on blue'
    """
    parts = [" ".join(part.split()) for part in prompt.split(",")]
    return ", ".join(part for part in parts if part)


def _choices(table: dict[str, tuple[str, ...]], split: Split) -> tuple[str, ...]:
    return table["seen"] + table["heldout"] if split == "both" else table[split]
