"""Transfer: what an attack found on one model is asked of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_modules.evaluation.attempt_files import load_attempt
from redact_core import Access, Adapter, Attack, Attempt, PlanRow, RedactError
from redact_core.evaluation.evidence import Evidence
from redact_core.reporting.attack_table import PREFIX, attempts_of


class Replay(Attack):
    """Asks again what was found before; static by nature, whatever the search was.

    Args:
        evidence: Folder that ``redact attack`` made.
        model: On whom the attempts were found.
        attack: Name of the attack.
    """

    adaptive = False

    def __init__(self, evidence: Path, model: str, attack: str):
        kept = Evidence(evidence)
        if model not in kept.models:
            raise RedactError(f"{evidence} holds no model {model}; it holds {', '.join(kept.models)}.")
        self.access: Access = kept.manifest["attacks"][attack]["access"]  # type: ignore[misc]
        self._name, self._model, self._folder = attack, model, evidence
        self._found = {
            (kept.plan[i].condition, kept.plan[i].seed): record
            for i, record in attempts_of(kept, model).items()
            if kept.plan[i].group == PREFIX + attack
        }

    @property
    def name(self) -> str:
        return self._name

    @property
    def budget(self) -> str:
        return f"as found on {self._model}"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model, base, seed
        missing = [row.condition for row in rows if (row.condition, row.seed) not in self._found]
        if missing:
            raise RedactError(
                f"{self._folder} holds no attempt of {self._name} on {self._model} for {missing[0]!r:.60}; "
                "finish that evidence first."
            )
        return [load_attempt(self._folder, self._found[row.condition, row.seed]) for row in rows]


def replays(folder: Path, model: str) -> list[Replay]:
    """All attacks of an evidence folder that found something another model can be asked.

    Raises:
        RedactError: There are none.
    """
    kept = Evidence(folder)
    kinds = {str(record["attack"]): str(record["kind"]) for record in attempts_of(kept, model).values()}
    names = [name for name in kept.manifest.get("attacks", {}) if kinds.get(name, "sample") != "sample"]
    if not names:
        raise RedactError(f"{folder} holds no attempts on {model} that can be replayed; give another --from.")
    return [Replay(folder, model, name) for name in names]
