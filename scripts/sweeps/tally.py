"""What a sweep found, verb by verb: as a file that a stopped sweep goes on from, and as a table."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

COLUMNS = {
    "runs": "runs",
    "ended_well": "ended well",
    "unclear": "no clear line",
    "half_written": "half written",
    "different": "another result",
    "failed": "failed to go on",
    "left_behind": "files left behind",
}


@dataclass
class Tally:
    """What the disturbed runs of a verb led to."""

    verb: str
    runs: int = 0
    ended_well: int = 0
    """Came to their end all the same: killed too late, or the fault was none."""
    unclear: int = 0
    """Ended without one clear line; a killed run says none and is not counted."""
    half_written: int = 0
    different: int = 0
    """The same command again, or the one that goes on, led to other bits than a run that nobody disturbed."""
    failed: int = 0
    left_behind: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.half_written or self.different or self.failed or self.left_behind or self.unclear)

    def note(self, text: str) -> None:
        self.examples = [*self.examples, text][:8]


class Record:
    """A sweep's JSON file, written after every run."""

    def __init__(self, path: Path, **settings: object):
        """Read what an earlier, stopped sweep of the same settings left.

        Args:
            path: Of the JSON file.
            settings: What the runs depend on; a file of other settings is begun anew.
        """
        from redact_core import __version__

        self.path = path
        self.settings = {**settings, "version": __version__}
        self.tallies: list[Tally] = []
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["settings"] == self.settings:
                self.tallies = [Tally(**row) for row in found["rows"]]

    def of(self, verb: str) -> Tally:
        """The verb's tally; an empty one if there is none yet."""
        for tally in self.tallies:
            if tally.verb == verb:
                return tally
        self.tallies.append(Tally(verb))
        return self.tallies[-1]

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        found = {
            "settings": self.settings,
            "date": datetime.date.today().isoformat(),
            "rows": [asdict(tally) for tally in self.tallies],
        }
        self.path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def end(self) -> None:
        """Print the table and all that went wrong; leave with status 1 if anything did."""
        print("\n".join(table([asdict(tally) for tally in self.tallies])))
        for tally in self.tallies:
            for example in tally.examples:
                print(f"{tally.verb}: {example}")
        raise SystemExit(0 if all(tally.good for tally in self.tallies) else 1)


def table(rows: Sequence[dict]) -> list[str]:
    """Lines of a table in Markdown, a row a verb."""
    lines = [f"| verb | {' | '.join(COLUMNS.values())} |", "|---|" + "---|" * len(COLUMNS)]
    return lines + [f"| {row['verb']} | {' | '.join(str(row[key]) for key in COLUMNS)} |" for row in rows]


def table_by_kind(rows: Sequence[dict]) -> list[str]:
    """Lines of a table in Markdown of bad inputs, a row a kind, a column a verdict."""
    verdicts = sorted({row["verdict"] for row in rows})
    lines = [f"| kind | n | {' | '.join(verdicts)} |", "|---|---|" + "---|" * len(verdicts)]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        count = Counter(row["verdict"] for row in rows if row["kind"] == kind)
        cells = " | ".join(str(count[verdict]) for verdict in verdicts)
        lines.append(f"| {kind} | {sum(count.values())} | {cells} |")
    return lines
