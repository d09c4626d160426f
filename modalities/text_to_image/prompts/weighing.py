"""One reference of a request: chosen where none is named, else weighed, with what an owner should know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from modalities.text_to_image.prompts import references
from modalities.text_to_image.prompts.expansion import Subject, reference_of
from modalities.text_to_image.prompts.references import NEAR, OF_USUAL, Choice, Encode
from modalities.text_to_image.prompts.style_references import StyleDistances
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from redact_core import RedactError


@dataclass(frozen=True)
class Weighed:
    """A reference."""

    reference: str
    """As rows are made with it."""
    shown: str
    """For the card."""
    remark: str | None = None
    warning: str | None = None


@dataclass(frozen=True)
class Scales:
    """What references are weighed with.

    Args:
        gone: Lower-case names of everything that the request redacts.
        vocabulary: Of the model.
        encode: Asks the untouched encoder.
        same: Whether the encoder reads two texts alike, token by token.
    """

    gone: set[str]
    vocabulary: Vocabulary
    encode: Encode
    same: Callable[[str, str], bool]

    @cached_property
    def _styles(self) -> StyleDistances:
        return StyleDistances(self.gone, self.vocabulary, self.encode)

    def weigh(self, subject: Subject, given: str | None) -> Weighed:
        """The reference of a subject.

        Args:
            subject: What is redacted.
            given: As the owner named it; ``None``: not at all, and one is chosen.

        Raises:
            RedactError: It is itself redacted, to the encoder or by its name, or no default can be chosen.
        """
        if given is None and subject.kind == "concept":
            return self._chosen(subject)
        if given is None and subject.kind == "style":
            choice = self._styles.choose(subject.names[0])
            if choice is not None:
                return Weighed(
                    choice.reference,
                    f"{choice.reference} (chosen: the model seems to draw the style unasked)",
                    f'To the encoder the style "{choice.nearest}" is nearly no style ({choice.distance:.2f} of the usual '
                    "distance): the model draws it unasked, or does not know it, and leaving it out would change nothing. "
                    f'"{choice.reference}" was chosen to be drawn instead.',
                )
        reference = reference_of(subject, given, self.vocabulary)
        named = reference if subject.kind == "style" or given is None else given.strip()
        concern, remark = None, None
        if subject.kind == "concept" and named:
            near = references.nearness(named, subject.names, self.gone, self.vocabulary, self.encode)
            concern = references.concern(near, subject.names, self.gone, self.vocabulary, self.same)
            remark = (
                near.farther
                and f'The reference "{named}" lies at {near.distance:.2f} {OF_USUAL}.{_farther(near)}'
            )
        elif subject.kind == "style":
            concern = self._concern_of_style(named, subject.names[0])
        shown = named or "default reference"
        if not concern:
            return Weighed(reference, shown, remark)
        what = f'The reference "{named}"' if named else "No reference"
        warning = (
            f"{what} {concern}. The model may draw what is redacted in its place; name another reference, or none and one "
            "is chosen."
        )
        return Weighed(reference, f"{shown} (warned: it {concern})", warning=warning)

    def _chosen(self, subject: Subject) -> Weighed:
        choice = references.choose(subject.names, self.gone, self.vocabulary, self.encode)
        figure = f"{choice.distance:.2f} {OF_USUAL}"
        remark = (
            f'No reference was named for "{subject.names[0]}"; "{choice.reference}" was chosen. To the encoder it '
            f'lies at {figure} from "{choice.nearest}", and other names of a concept lie below {NEAR}.'
        )
        return Weighed(
            choice.reference, f"{choice.reference} (chosen, at {figure})", remark + _farther(choice)
        )

    def _concern_of_style(self, reference: str, style: str) -> str | None:
        if reference and any(self.same(reference, name) for name in self.gone):
            raise RedactError(f'The reference "{reference}" is itself redacted; name a reference that stays.')
        distance = self._styles(style, reference)
        if not distance < NEAR:
            return None
        what = (
            f'is nearly "{style}" to the encoder'
            if reference
            else f'leaves "{style}" out, which the model seems to draw unasked'
        )
        return f"{what}; it lies at {distance:.2f} of the distance that is usual between a style and none"


def _farther(choice: Choice) -> str:
    if choice.farther is None:
        return ""
    return f' Against attackers a farther reference protects better, such as "{choice.farther}".'
