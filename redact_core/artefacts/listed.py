"""What differs between a folder and the hashes that a card or a receipt lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from redact_core.support.folders import hashes
from redact_core.support.inside import links_out


@dataclass(frozen=True)
class Differences:
    """Names of files, relative to the folder, each in order."""

    links: list[str]
    """Links that lead out of the folder: what they lead to is not part of it, whatever it holds."""
    missing: list[str]
    added: list[str]
    altered: list[str]
    now: Mapping[str, str]
    """SHA-256 of every file that is there."""

    def sentences(self, *, added: str = "was added", altered: Mapping[str, str] | None = None) -> list[str]:
        """One for each difference.

        Args:
            added: What is said of a file that was added.
            altered: What is said of files that were altered, where that is more than that they were.
        """
        said = altered or {}
        return [
            *(f"{name} is a link that leads out of the folder" for name in self.links),
            *(f"{name} is missing" for name in self.missing),
            *(f"{name} {added}" for name in self.added),
            *(f"{name} {said.get(name, 'was altered')}" for name in self.altered),
        ]


def differences(folder: Path, then: Mapping[str, str], but: Collection[str]) -> Differences:
    """Compare ``folder`` with the SHA-256 of its files as they were.

    Args:
        folder: A folder.
        then: Relative name -> SHA-256.
        but: Names that do not count.
    """
    links = [str(path.relative_to(folder)) for path in links_out(folder)]
    now = {name: value for name, value in hashes(folder).items() if name not in but}
    old = {name: value for name, value in then.items() if name not in but}
    return Differences(
        links,
        sorted(set(old) - set(now)),
        sorted(set(now) - set(old)),
        sorted(name for name in set(old) & set(now) if old[name] != now[name]),
        now,
    )
