"""Evidence of the toy model and its saboteurs."""

from pathlib import Path

from toy_evaluation import PictureToy, WordScorer

from redact_core import Request
from redact_core.adapters.fingerprint import fingerprint
from redact_core.evaluation.evidence import Conduct, Evidence, begin
from redact_core.evaluation.scoring import score

CONDUCT = Conduct(8, "32-true", "cpu", {"torch": "x"})


def make(folder: Path, *modes: str, n: int = 24) -> Evidence:
    """Evidence of the untouched toy and of models that do what ``modes`` say."""
    base = PictureToy()
    plan = base.plan(Request(("plum",)), n)
    models = {"base": base} | {mode.replace(" ", "_"): PictureToy(mode) for mode in modes}
    evidence = begin(folder, plan, {name: fingerprint(model) for name, model in models.items()}, CONDUCT)
    for name, model in models.items():
        with evidence.writer(model, name, 0) as writer:
            for chunk in evidence.chunks():
                rows = [plan[i] for i in chunk]
                writer.write(chunk, model.generate([r.condition for r in rows], seeds=[r.seed for r in rows]))
    score(evidence, [WordScorer()], [{"class_path": "toy_evaluation.WordScorer", "init_args": {}}])
    return evidence
