"""What ``redact()`` gives back: losses, seconds, remarks, the card, and the way to save the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.artefacts.card import Disclosure, RedactionCard
from redact_core.artefacts.disclosure import read_key
from redact_core.artefacts.work import Work
from redact_core.artefacts.writing import card_of, record_of, write_artefact
from redact_core.support.folders import check_space, check_target
from redact_core.support.paths import at_home
from redact_core.training.soundness import check_changed, check_measures, check_weights


class Redaction(Mapping[str, float]):
    """A redaction of a model in memory. As a mapping it holds :attr:`losses`.

    Args:
        adapter: The redacted model.
        student: What of it was trained or solved for.
        base: SHA-256 of the untouched weights of ``student``; ``None``: they are known to be others now.
        work: What was done.
        losses: Loss term -> its value in the last step; empty where nothing was trained.
        remarks: What the adapter did beyond what was asked for.
    """

    def __init__(
        self,
        adapter: Adapter,
        student: nn.Module,
        base: str | None,
        work: Work,
        losses: Mapping[str, float],
        remarks: tuple[str, ...] = (),
    ):
        self.losses = dict(losses)
        """Loss term -> its value in the last step; empty where nothing was trained."""
        self.remarks = remarks
        """What the adapter did beyond what was asked for, in sentences."""
        self.work = work
        """What was done, for the card."""
        self._adapter, self._student, self._base = adapter, student, base
        self._card: RedactionCard | None = None

    @property
    def seconds(self) -> float:
        """How long it took, the preparation of the rows included."""
        return self.work.cost["seconds"]

    @property
    def measures(self) -> Mapping[str, float]:
        """Mean distances of the redacted and of the retained rows to their targets, before and after."""
        return self.work.measures

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """Sentences about what was wanted and not reached; each was also given as a warning."""
        return tuple(self.work.shortfalls)

    @property
    def card(self) -> RedactionCard:
        """The card. Its hashes of files are there once the model has been saved."""
        if self._card is None:
            self._card = card_of(self._adapter, self.work)
        return self._card

    def records(self) -> list[Mapping[str, Any]]:
        """This redaction of the model in memory and those before it, in order, for the card of the next one."""
        return [*self.work.earlier, record_of(self._adapter, self.work)]

    def save(
        self,
        folder: Path | str,
        *,
        disclosure: Disclosure = "text",
        key: Path | None = None,
        config: str = "",
        advice: str = "then run again",
    ) -> Path:
        """Write the original library's folder and the card; whole, or not at all.

        Args:
            folder: To be made.
            disclosure: What the card says about the redacted conditions: their ``text``, keyed ``digest`` values,
                or only their ``count``.
            key: File with the secret key of the digests, at least 16 bytes.
            config: Text of ``config.yaml``; empty for none.
            advice: What to do once there is room, for the message about a full disk.

        Returns:
            The folder.

        Raises:
            RedactError: The folder exists or cannot be written, the key cannot be read, weights or measures are
                not finite, or no weight differs from the base's.
        """
        folder = at_home(folder)
        check_target(folder)
        secret = read_key(None if key is None else at_home(key)) if disclosure == "digest" else None
        check_space(folder, self._adapter.origin.files.values())
        check_weights(self._student)
        check_measures(self.work.measures)
        if self._base is not None:
            check_changed(self._student, self._base)
        card = card_of(self._adapter, self.work, disclosure, secret)
        self._card = write_artefact(folder, self._adapter, card, config=config, advice=advice)
        return folder

    def __getitem__(self, name: str) -> float:
        return self.losses[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.losses)

    def __len__(self) -> int:
        return len(self.losses)

    def __repr__(self) -> str:
        losses = ", ".join(f"{name}={value:.3g}" for name, value in self.losses.items()) or "nothing to train"
        asked = [*(line for one in self.work.earlier for line in one["request"]["asked"]), *self.work.asked]
        lines = [f"Redaction({'; '.join(asked)}: {losses}, {self.seconds:.0f} s)"]
        return "\n".join([*lines, *self.remarks, *self.shortfalls])
