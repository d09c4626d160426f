"""Which reference a redacted concept gets where none is named, and whether a named one will do.

A reference that the generator draws like the concept gives the concept back. So references are
measured by the untouched encoder: how far is the reference from every name of the concept, in units
of how far other concepts usually are? On the bundled encoder 95 in 100 names of a concept that were never
listed lie below 0.15 from its listed ones, and the nearest other concept at 0.2 to 0.4. The generator is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modalities.text_to_image.prompts.names import tidied, without_article
from modalities.text_to_image.prompts.phrasing import with_article
from modalities.text_to_image.prompts.retained_prompts import mentions
from modalities.text_to_image.prompts.vocabulary import Concept, Vocabulary, general_vocabulary
from redact_core import RedactError

Encode = Callable[[Sequence[str]], Tensor]
"""Prompts -> ``(prompts, dim)``, what the encoder gives where each of them ends."""

NEAR = 0.3
"""A named reference below this distance is warned of: other names of the concept lie there."""
CLEAR = 0.5
"""A reference is chosen at this distance or above it."""
FAR = 0.7
"""Below this distance training against attacks protected much less, on both concepts where it was measured (:mod:`.robust_prompts`)."""
USUAL = 1.0
"""The distance of an ordinary other concept, by definition."""
OF_USUAL = "of the distance that is usual between two concepts"
"""What follows a distance where it is shown."""
_CHUNK = 256
_UNSUITABLE = frozenset(
    {"alien", "beer", "bomb", "bow and arrow", "cigarette", "cocktail", "clown", "dagger", "ghost", "glass of wine",
     "money bag", "pill", "poo", "skull", "syringe", "water pistol"}
)  # fmt: skip
"""Known concepts that are no neutral answer to a prompt about something else."""
_KINDRED = (
    {"car", "taxi", "police car", "ambulance"}, {"cat", "lion", "tiger", "leopard"}, {"dog", "wolf", "fox"},
    {"bear", "panda", "koala"}, {"horse", "unicorn", "zebra"}, {"cow", "ox"}, {"sheep", "goat"},
    {"ship", "sailboat"}, {"cupcake", "birthday cake"}, {"rooster", "turkey"}, {"hat", "top hat"},
)  # fmt: skip
"""Concepts of which one is a kind of another: a picture of one may pass for the other."""


@dataclass(frozen=True)
class Choice:
    """A reference that was chosen."""

    reference: str
    distance: float
    """From the nearest name of what is redacted; 1 is usual between it and another concept."""
    nearest: str
    """That name."""
    farther: str | None = None
    """What withstands attackers better, where it is nearer than :data:`FAR`."""


class Distances:
    """Distances of texts from the names of a concept, by the untouched encoder.

    Args:
        encode: Gives the encoder's embeddings.
        names: Of the concept, at least one.
        others: Names of other concepts. The median of their distances from a name is 1.

    Raises:
        RedactError: There are no ``others``, so that there is no scale.
    """

    def __init__(self, encode: Encode, names: Sequence[str], others: Sequence[str]):
        if not others:
            raise RedactError(
                f'There is no other concept to compare the reference of "{names[0]}" with; keep some.'
            )
        self._encode, self.names = encode, tuple(names)
        self._centres = self._ask(names)
        between = torch.cdist(self._ask(others), self._centres).square()  # (others, names)
        self._usual = between.median(0).values.clamp(min=torch.finfo(between.dtype).tiny)

    def __call__(self, texts: Sequence[str]) -> list[tuple[float, str]]:
        """For each text the distance from the nearest name, rounded to 3 digits, and that name."""
        apart = torch.cdist(self._ask(texts), self._centres).square() / self._usual  # (texts, names)
        found, which = apart.min(1)
        pairs = zip(found.tolist(), which.tolist(), strict=True)
        return [(round(distance, 3), self.names[k]) for distance, k in pairs]

    @torch.no_grad()
    def _ask(self, texts: Sequence[str]) -> Tensor:
        prompts = [with_article(text) for text in texts]
        parts = [self._encode(prompts[i : i + _CHUNK]) for i in range(0, len(prompts), _CHUNK)]
        return torch.cat(parts).double()


def choose(names: Sequence[str], gone: set[str], vocabulary: Vocabulary, encode: Encode) -> Choice:
    """A concrete concept of the same group that the encoder holds clearly apart from ``names``.

    The group is that of the vocabulary; for an unknown concept, the group that lies nearest to it on
    average. Where nothing of the group will do, every other known concept may be taken. Of what
    is clear of the names, the concept at the most usual distance is taken.

    Args:
        names: Of what is redacted, first its usual name.
        gone: Lower-case names of everything that the request redacts; none of it is chosen.
        vocabulary: Of the model; candidates are its concepts.
        encode: Asks the untouched encoder.

    Raises:
        RedactError: No candidate is at least :data:`CLEAR` away from every name.
    """
    concepts = _that_stay(gone, vocabulary)
    others = [concept.name for concept in concepts]
    found = _apart(concepts, Distances(encode, names, others)) if concepts else {}
    if suitable := _suitable(found, gone):
        group = _group(names[0], found)
        best = _most_usual([c for c in suitable if c.parent == group] or suitable, found)
        return Choice(best.name, *found[best], _farther(found[best][0], suitable, found))
    raise RedactError(
        f'No default reference is known for "{names[0]}": the encoder holds no known concept clearly apart from '
        "it; give --data.reference, a harmless word of the same kind."
    )


def nearness(
    reference: str, names: Sequence[str], gone: set[str], vocabulary: Vocabulary, encode: Encode
) -> Choice:
    """How far a reference that the owner named lies from the concept; at the usual distance, where nothing gives the scale.

    Args:
        reference: As the owner named it.
        names: Of what is redacted, first its usual name.
        gone: Lower-case names of everything that the request redacts.
        vocabulary: Of the model.
        encode: Asks the untouched encoder.
    """
    concepts = _that_stay(gone, vocabulary)
    if not concepts:
        return Choice(reference, USUAL, names[0])
    distances = Distances(encode, names, [concept.name for concept in concepts])
    ((distance, nearest),) = distances([reference])
    if distance >= FAR:
        return Choice(reference, distance, nearest)
    found = _apart(concepts, distances)
    return Choice(reference, distance, nearest, _farther(distance, _suitable(found, gone), found))


def concern(
    named: Choice,
    names: Sequence[str],
    gone: set[str],
    vocabulary: Vocabulary,
    same: Callable[[str, str], bool],
) -> str | None:
    """Why a reference that the owner named may be drawn as the redacted concept; ``None``: nothing speaks against it.

    Args:
        named: Its :func:`nearness`.
        names: Of what is redacted, first its usual name.
        gone: Lower-case names of everything that the request redacts.
        vocabulary: Of the model.
        same: Whether the encoder reads two texts alike, token by token.

    Raises:
        RedactError: The encoder reads the reference as one of ``names`` or ``gone``.
    """
    reference = named.reference
    for name in (*names, *sorted(gone)):
        if same(reference, name):
            raise RedactError(f'The reference "{reference}" is itself redacted; name a reference that stays.')
    known, own = vocabulary.find(reference), _known(names[0])
    bare = without_article(tidied(reference)).lower()
    if own is not None and bare in (own.parent, own.parent + "s"):
        kind = f'is the group that "{names[0]}" belongs to'
    elif own is not None and _known(bare) == own:
        kind = f'is another name of "{names[0]}"'
    elif known is None and mentions(reference.lower(), {name.lower() for name in names}):
        kind = f'names "{names[0]}"'
    elif named.distance < NEAR:
        kind = f'is nearly "{named.nearest}" to the encoder'
    else:
        return None
    return f"{kind}; it lies at {named.distance:.2f} {OF_USUAL}"


def _that_stay(gone: set[str], vocabulary: Vocabulary) -> list[Concept]:
    return [concept for concept in vocabulary.concepts.values() if concept.name not in gone]


def _apart(concepts: Sequence[Concept], distances: Distances) -> dict[Concept, tuple[float, str]]:
    """How far every concept lies from the nearest name of what is redacted, and that name."""
    return dict(zip(concepts, distances([concept.name for concept in concepts]), strict=True))


def _suitable(found: dict[Concept, tuple[float, str]], gone: set[str]) -> list[Concept]:
    """What may be drawn instead."""
    never = _UNSUITABLE.union(*(kin for kin in _KINDRED if kin & gone))
    clear = [concept for concept, (distance, _) in found.items() if distance >= CLEAR]
    return [c for c in clear if not mentions(c.name, gone) and c.name not in never]


def _most_usual(concepts: Sequence[Concept], found: dict[Concept, tuple[float, str]]) -> Concept:
    return min(concepts, key=lambda c: (abs(found[c][0] - USUAL), c.name))


def _farther(
    distance: float, suitable: Sequence[Concept], found: dict[Concept, tuple[float, str]]
) -> str | None:
    far = [concept for concept in suitable if found[concept][0] >= FAR]
    return _most_usual(far, found).name if far and distance < FAR else None


def _group(name: str, found: dict[Concept, tuple[float, str]]) -> str:
    known = _known(name)
    if known is not None:
        return known.parent
    groups: dict[str, list[float]] = {}
    for concept, (distance, _) in found.items():
        groups.setdefault(concept.parent, []).append(distance)
    return min(groups, key=lambda parent: (sum(groups[parent]) / len(groups[parent]), parent))


def _known(name: str) -> Concept | None:
    """What any vocabulary knows of a name: the model may not draw a concept whose group it draws."""
    return general_vocabulary().find(name)
