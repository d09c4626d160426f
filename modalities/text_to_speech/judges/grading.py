"""What a redaction did to voices: who is identified, how similar, how intelligible; groups as in the report.

Both models get the same clips, sentences and seeds. Figures are plain rows, see
:class:`redact_core.evaluation.summary.SummaryRow`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm import tqdm

from modalities.sound.bank import VoiceBank
from modalities.text_to_speech.judges.judge import BUNDLED, VoiceJudge, VoiceSimilarity
from modalities.text_to_speech.judges.recogniser import error_rate
from redact_core.evaluation.summary import SummaryRow
from redact_core.metrics.statistics import Rate, auroc, bootstrap_mean, wilson

if TYPE_CHECKING:  # the adapter plans evaluations with the cases of this file
    from modalities.text_to_speech.adapters.speecht5 import SpeechT5


@dataclass(frozen=True)
class Case:
    """A clip, whose voice it is, and the seed that chooses what is said."""

    clip: Path
    voice: str
    seed: int


@dataclass(frozen=True)
class Spoken:
    """The samples of one model for a group of cases."""

    cases: list[Case]
    samples: list[Tensor]
    heard: VoiceSimilarity
    read: list[str]


def cases(voices: Mapping[str, Sequence[Path]], n: int, first_seed: int = 0) -> list[Case]:
    """``n`` cases that go round the voices, then their clips; every case says another sentence."""
    names = list(voices)
    rows = []
    for i in range(n):
        name = names[i % len(names)]
        clips = voices[name]
        rows.append(Case(clips[i // len(names) % len(clips)], name, first_seed + i))
    return rows


def nearest(model: SpeechT5, judge: VoiceJudge, voice: str, count: int) -> list[str]:
    """The enrolled voices most similar to ``voice``, by the judge and not by the redacted encoder."""
    likeness = judge.prototypes @ judge.prototypes[judge.voices.index(voice)]
    order = [judge.voices[i] for i in likeness.argsort(descending=True).tolist()]
    return [name for name in order if name != voice and name in model.bank.voices][:count]


def speak(model: SpeechT5, judge: VoiceJudge, group: list[Case]) -> Spoken:
    """Generate, and let the judge embed and read."""
    samples = model.generate([case.clip for case in group], seeds=[case.seed for case in group])
    return Spoken(group, samples, judge(samples), judge.read(samples))


def compare(group: str, base: Spoken, redacted: Spoken, model: SpeechT5) -> list[SummaryRow]:
    """Rows ``identified``, ``similarity`` and ``cer`` of one group."""
    said = [model.sentence(case.seed) for case in base.cases]
    rows = []
    for metric, measure in (("identified", _identified), ("similarity", _similarity)):
        rows.append(_row(group, metric, measure(base), measure(redacted)))
    errors = [[error_rate([h], [s]) for h, s in zip(x.read, said, strict=True)] for x in (base, redacted)]
    rows.append(_row(group, "cer", bootstrap_mean(errors[0]), bootstrap_mean(errors[1])))
    return rows


def against_others(target: str, base: Spoken, redacted: Spoken, others: Spoken) -> SummaryRow:
    """AUROC of the likeness to ``target``: samples asked for it against samples of other voices.

    1 where every sample of the redacted voice is more like it than any stranger's, 0.5 where they
    cannot be told apart, less where the redacted samples are the less alike.
    """
    values = [auroc(x.heard.similar(target), others.heard.similar(target)) for x in (base, redacted)]
    draws = _bootstrap_auroc(redacted.heard.similar(target), others.heard.similar(target))
    return SummaryRow(
        task="voice", group="paraphrased", metric="auroc", base=values[0], redacted=values[1],
        n=len(redacted.samples), low=draws[0], high=draws[1],
    )  # fmt: skip


def toward(reference: str, base: Spoken, redacted: Spoken) -> SummaryRow:
    """Likeness to the reference voice; the base's own answer to the reference stands beside it."""
    values = [bootstrap_mean(x.heard.similar(reference).tolist()) for x in (base, redacted)]
    return _row("paraphrased", "similarity to reference", *values)


def grade_voice(
    base: SpeechT5, redacted: SpeechT5, voice: str, reference: str | None, n: int, n_kept: int
) -> tuple[list[SummaryRow], dict[str, tuple[Spoken, Spoken]]]:
    """Summary rows of a redacted voice of the bundled base, and what base and redacted model said in each group.

    Args:
        base: The untouched model.
        redacted: The same with the redacted encoder.
        voice: That was redacted.
        reference: The voice that answers in its place; without one, likeness to it is not counted.
        n: Utterances of each redacted group.
        n_kept: Utterances of each retained group.
    """
    judge = VoiceJudge(base.bank.voices)
    unseen = VoiceBank(BUNDLED / "unseen").voices
    others = {name: clips for name, clips in unseen.items() if name != voice}
    near = [name for name in nearest(base, judge, voice, 8) if name in others][:3]
    groups = {
        "redacted": cases({voice: base.bank.voices[voice]}, n),
        "paraphrased": cases({voice: unseen[voice]}, n, 1000),
        "neighbours": cases({name: others[name] for name in near}, n_kept, 2000),
        "retained": cases({k: v for k, v in others.items() if k not in near}, n_kept, 3000),
    }
    spoken: dict[str, tuple[Spoken, Spoken]] = {}
    with tqdm(total=2 * sum(map(len, groups.values())), desc=voice, unit="utterance") as bar:
        for name, group in groups.items():
            found: list[Spoken] = []
            for model in (base, redacted):
                found.append(speak(model, judge, group))
                bar.update(len(group))
            spoken[name] = found[0], found[1]
    rows = [row for name, (a, b) in spoken.items() for row in compare(name, a, b, base)]
    rows.append(against_others(voice, *spoken["paraphrased"], spoken["retained"][0]))
    if reference in judge.voices:
        rows.append(toward(reference, *spoken["paraphrased"]))
        own = speak(base, judge, cases({reference: unseen[reference]}, n, 1000))
        floor = compare("reference itself", own, own, base)
        rows += [row for row in floor if row["metric"] == "similarity"]
    return rows, spoken


def _identified(spoken: Spoken) -> Rate:
    best = spoken.heard.similarity.argmax(1).tolist()
    hits = sum(spoken.heard.voices[b] == c.voice for b, c in zip(best, spoken.cases, strict=True))
    return wilson(hits, len(spoken.cases))


def _similarity(spoken: Spoken) -> Rate:
    columns = [spoken.heard.voices.index(case.voice) for case in spoken.cases]
    return bootstrap_mean(spoken.heard.similarity[torch.arange(len(columns)), columns].tolist())


def _row(group: str, metric: str, base: Rate, redacted: Rate) -> SummaryRow:
    return SummaryRow(
        task="voice", group=group, metric=metric, base=base.value, redacted=redacted.value,
        n=redacted.n, low=redacted.low, high=redacted.high,
    )  # fmt: skip


def _bootstrap_auroc(positive: Tensor, negative: Tensor, draws: int = 500) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(draws):
        a = positive[torch.randint(len(positive), (len(positive),), generator=generator)]
        b = negative[torch.randint(len(negative), (len(negative),), generator=generator)]
        values.append(auroc(a, b))
    low, high = torch.tensor(values).quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high
