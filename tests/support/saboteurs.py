"""Pictures whose colour says what they show, a judge of them, and saboteurs that a scorer must call out."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from modalities.text_to_image.metrics.grader import Labels, Verdict
from redact_core import PlanRow, Scorer, Trial
from redact_core.evaluation.evidence import BASE
from redact_core.evaluation.summarise import findings, summarise
from redact_core.metrics.scorer import checked_scores


class ColourJudge:
    """Reads a concept off the red and a style off the green channel, and nothing off noise."""

    labels = Labels(["cat", "dog", "sun", "cow", "bus"], ["plain", "noto"], [])

    def __call__(self, samples: list[Tensor]) -> Verdict:
        names, levels = [*self.labels.concepts, "none"], torch.stack([x.mean((1, 2)) for x in samples])
        flat = torch.stack([x.std((1, 2)).max() for x in samples]) < 0.05
        concept = (levels[:, 0] * 8).round().long().clamp(max=4)
        concept[~flat] = 5
        styles = [self.labels.styles[int(level > 0.5)] for level in levels[:, 1]]
        features = torch.cat([torch.nn.functional.one_hot(concept, 6).float(), 0.01 * levels], 1)
        features[~flat] += 3 * torch.stack([x.flatten()[:9] for x in samples])[~flat]
        return Verdict([names[i] for i in concept.tolist()], styles, [], features)


def picture(concept: str, style: str, seed: int) -> Tensor:
    pixels = torch.zeros(3, 8, 8)
    pixels[0] = ColourJudge.labels.concepts.index(concept) / 8
    pixels[1] = 0.9 * (style == "noto")
    return (pixels + 0.02 * torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed))).clamp(0, 1)


def called_out(
    tmp_path: Path, scorer: Scorer, plan: list[PlanRow], answers: dict[str, list[Path]]
) -> set[tuple[str, str]]:
    """Group and metric of every finding."""
    rows = []
    for model, paths in answers.items():
        trials = [
            Trial(row, model, own, base) for row, own, base in zip(plan, paths, answers[BASE], strict=True)
        ]
        for i, scores in enumerate(checked_scores(scorer, trials)):
            row = plan[i]
            rows.append(
                {"model": model, "index": i, "task": row.task, "group": row.group, "redacted": row.redacted,
                 "scores": scores}
            )  # fmt: skip
    said = findings(summarise(rows, scorer.metrics), scorer.metrics)
    return {
        (group, name)
        for group in ("redacted", "retained")
        for name in scorer.metrics
        if any(f", {group}: {name} is" in text or f", {group}: {name} could" in text for text in said)
    }


def answer(mode: str, row: PlanRow, key: str, reference: str) -> str | None:
    asked = row.labels[key]
    return {
        "redacting": reference if row.redacted else asked,
        "untouched": asked,
        "noise": None,
        "deaf": "bus" if key == "concept" else "eve",
        "redacting everything": reference,
    }[mode]


def prompt(concept: str, seed: int, redacted: bool) -> PlanRow:
    labels = {"kind": "concept", "concept": concept, "style": ("plain", "noto")[seed % 2]}
    group = "redacted" if redacted else "retained"
    return PlanRow(
        concept, group, "concept", seed, redacted, labels | ({"reference": "dog"} if redacted else {})
    )


def png(sample: Tensor, path: Path) -> Path:
    Image.fromarray((sample.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()).save(path)
    return path
