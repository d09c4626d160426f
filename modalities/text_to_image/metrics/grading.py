"""What a redaction did to pictures: which concept or style the grader finds, base against redacted."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from tqdm import tqdm

from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.metrics.grader import Verdict
from modalities.text_to_image.prompts.groups import Case
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.statistics import Rate, wilson


def nearest(model: StableDiffusion, name: str, count: int = 10) -> list[str]:
    """Concepts whose conditioning by the untouched base is nearest to that of ``name``."""
    return model.nearest(name, count)


def sample(model: StableDiffusion, prompts: Sequence[str], seed: int, label: str) -> list[Tensor]:
    """Pictures of ``prompts``, the first with ``seed``, each later one with the next; shows progress."""
    out: list[Tensor] = []
    with tqdm(total=len(prompts), desc=label, unit="picture", mininterval=5) as bar:
        for start in range(0, len(prompts), 50):
            part = prompts[start : start + 50]
            out += model.generate(part, seeds=range(seed + start, seed + start + len(part)))
            bar.update(len(part))
    return out


def found(verdict: Verdict, cases: Sequence[Case], kind: str) -> Rate:
    """How often the grader sees the case's ``concept`` or ``style``."""
    seen = verdict.styles if kind == "style" else verdict.concepts
    wanted = [case.style if kind == "style" else case.concept for case in cases]
    return wilson(sum(a == b for a, b in zip(seen, wanted, strict=True)), len(wanted))


def row(task: str, group: str, base: Rate, redacted: Rate) -> SummaryRow:
    """A ``found`` row of the summary."""
    return SummaryRow(
        task=task, group=group, metric="found", base=base.value, redacted=redacted.value,
        n=redacted.n, low=redacted.low, high=redacted.high,
    )  # fmt: skip
