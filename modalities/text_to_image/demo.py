"""What ``redact demo`` counts and shows of a redaction of the bundled base, a group of prompts at a time."""

from __future__ import annotations

import io
import json
from functools import lru_cache

from PIL import Image
from torch import Tensor

from modalities.picture_files import to_bytes
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from modalities.text_to_image.metrics.grading import found, nearest, row, sample
from modalities.text_to_image.prompts.groups import Case, groups
from redact_core.reporting.exhibit import Exhibit, Graded

GROUPS = ("redacted", "paraphrased", "neighbours", "retained")
SHOWN = 6
JUDGES = {"found": GraderScorer.about}
BATCH = 32
"""Pictures drawn at a time; on a CPU fewer and more take longer for each."""


def grade(kind: str, name: str, reference: str, folder: str, group: str, n: int, device: str) -> Graded:
    """The ``found`` row of one group; base and redacted model get the same prompts and seeds.

    Args:
        kind: ``concept`` or ``style``.
        name: Of what was redacted.
        reference: What it is answered as.
        folder: Of the redacted model.
        group: One of :data:`GROUPS`. ``paraphrased`` are held-out wordings; half of them have held-out names, where
            there are any.
        n: Prompts of the group.
        device: That pictures are drawn on.
    """
    base, model = _model("bundled", device), _model(folder, device)
    subject = name if kind == "concept" else f"style: {name}"
    cases = _cases(subject, reference, base, group, n)
    prompts = [case.prompt for case in cases]
    before, after = (sample(m, prompts, 0, f"{kind}, {group}, {m.source}") for m in (base, model))
    # a redaction of a style shall leave the concepts: those are what the kept groups are asked for
    what = kind if group in ("redacted", "paraphrased") else "concept"
    judge = Judge()
    figures = row(kind, group, *(found(judge(pictures), cases, what) for pictures in (before, after)))
    if group not in ("redacted", "neighbours"):
        return Graded([figures], judges=JUDGES)
    shown = Exhibit(
        f"{subject} redacted: {group}",
        tuple(prompts[:SHOWN]),
        tuple(map(_png, before[:SHOWN])),
        tuple(map(_png, after[:SHOWN])),
    )
    return Graded([figures], [shown], JUDGES)


def _cases(subject: str, reference: str, base: StableDiffusion, group: str, n: int) -> list[Case]:
    understood = frozenset(json.loads((BUNDLED / "understood.json").read_text(encoding="utf-8")))
    near = [] if subject.startswith("style: ") else nearest(base, subject)
    cases = groups(subject, reference, base.vocabulary, near, n=n, understood=understood)
    if group != "paraphrased":
        return cases[group]
    synonyms = cases.get("synonyms", [])[: n - n // 2]
    return [*cases["reworded"][: n - len(synonyms)], *synonyms]


@lru_cache(maxsize=3)
def _model(source: str, device: str) -> StableDiffusion:
    """Opened once in a process, which grades several groups."""
    base = StableDiffusion("bundled", batch_size=BATCH)
    if source == "bundled":
        return base.to(device)
    model = StableDiffusion(source, steps=base.steps, guidance=base.guidance, batch_size=BATCH)
    return model.to(device)


def _png(picture: Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(picture.permute(1, 2, 0)).numpy()).save(buffer, "PNG")
    return buffer.getvalue()
