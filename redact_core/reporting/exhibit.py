"""What a grading hands to a report: figures, and samples of base and redacted model to look at or listen to."""

from __future__ import annotations

from dataclasses import dataclass, field

from redact_core.evaluation.summary import SummaryRow
from redact_core.reporting.report import Report


@dataclass(frozen=True)
class Exhibit:
    """A section of pairs; bytes of files, so that it passes from one process to another."""

    title: str
    captions: tuple[str, ...]
    base: tuple[bytes, ...]
    redacted: tuple[bytes, ...]
    sounds: bool = False
    """Players instead of pictures."""
    note: str = ""
    """What to listen for."""

    def show(self, report: Report) -> None:
        """Add the section to ``report``."""
        if self.sounds:
            pairs = list(zip(self.captions, self.base, self.redacted, strict=True))
            report.sounds(self.title, pairs, note=self.note)
        else:
            report.pictures(self.title, self.captions, self.base, self.redacted)


@dataclass(frozen=True)
class Graded:
    """Figures of one or more groups, and what is shown of them."""

    rows: list[SummaryRow]
    exhibits: list[Exhibit] = field(default_factory=list[Exhibit])
    judges: dict[str, str] = field(default_factory=dict[str, str])
    """Metric -> who judges, for people."""
