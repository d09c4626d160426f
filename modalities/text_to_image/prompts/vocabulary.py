"""Concepts, styles and settings that prompts are made of, and how else people name the concepts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modalities.text_to_image.prompts.names import tidied, without_article

FILE = Path(__file__).with_name("vocabulary.json")


@dataclass(frozen=True)
class Concept:
    """A named concept; ``seen`` phrasings may teach a redaction, ``heldout`` ones only grade it."""

    name: str
    parent: str
    seen: tuple[str, ...]
    heldout: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """Everything a prompt can be made of."""

    concepts: dict[str, Concept]
    styles: tuple[str, ...]
    settings: tuple[str, ...]

    def find(self, word: str) -> Concept | None:
        """The concept that ``word`` names: its name, a plural of it, or one of its phrasings; with an article or without."""
        word = tidied(word).lower()
        for text in dict.fromkeys((word, without_article(word))):
            for concept in self.concepts.values():
                if text in (concept.name, concept.name + "s", *concept.seen, *concept.heldout):
                    return concept
            for concept in self.concepts.values():
                if text == plural(concept.name):
                    return concept
        return None

    def style(self, name: str) -> str | None:
        """The style that ``name`` names, as it is written here; letter case, blanks and an article do not count."""
        word = tidied(name).lower()
        for style in self.styles:
            if style.lower() in (word, without_article(word)):
                return style
        return None

    def styles_without(self, gone: set[str]) -> list[str]:
        """The styles, but for those whose lower-case names are ``gone``."""
        return [style for style in self.styles if style.lower() not in gone]

    def neighbours(self, concept: Concept) -> list[Concept]:
        """Other concepts with the same parent."""
        return [c for c in self.concepts.values() if c.parent == concept.parent and c.name != concept.name]


def _concepts() -> tuple[dict[str, Concept], list[str]]:
    """Every concept that has been described, and the names of those that the bundled base draws."""
    words = json.loads(FILE.read_text(encoding="utf-8"))
    concepts = {
        name: Concept(name, entry["parent"], tuple(entry["seen"]), tuple(entry["heldout"]))
        for name, entry in words["concepts"].items()
    }
    return concepts, words["bundled"]


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


@cache
def bundled_vocabulary() -> Vocabulary:
    """The vocabulary the bundled base was trained on."""
    concepts, names = _concepts()
    return Vocabulary(
        {name: concepts[name] for name in names},
        styles=("noto", "twemoji", "fluent"),
        settings=("white", "yellow", "blue", "green", "pink", "gray"),
    )


@cache
def general_vocabulary() -> Vocabulary:
    """For models trained on the world at large: common nouns, painters, plain settings."""
    painters = (
        "Claude Monet", "Rembrandt", "Paul Cezanne", "Katsushika Hokusai", "Gustav Klimt", "Edvard Munch",
        "Frida Kahlo", "Edgar Degas", "Caravaggio", "Andy Warhol", "Pablo Picasso", "Henri Matisse",
        "Vincent van Gogh", "Salvador Dali", "Johannes Vermeer", "Wassily Kandinsky",
    )  # fmt: skip
    return Vocabulary(_concepts()[0], painters, ("white", "blue", "green", "dark", "city", "beach"))
