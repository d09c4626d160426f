"""Is a redacted voice as far from the person as a stranger is, and not further?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalities.sound.bank import VoiceBank
from modalities.sound.clips import read_clip
from modalities.text_to_speech.judges.gallery import gallery_files
from modalities.text_to_speech.judges.judge import BUNDLED, VoiceJudge
from modalities.text_to_speech.judges.sound_files import read_sound
from modalities.text_to_speech.metrics.by_verifier import ByVerifier
from redact_core import Group, Metric, Pair, RedactError, SetScorer
from redact_core.metrics.statistics import auroc, equal_error_rate
from redact_core.support.paths import at_home


class ImpostorScorer(ByVerifier, SetScorer):
    """Samples asked for a voice against real clips of other people, by the independent verifier.

    Rows are labelled ``voice`` and maybe ``reference``; the others of the bank are strangers. Scores
    are cosines with the voice's prototype.

    - *AUROC against strangers*: a sample is more like the voice than a stranger's clip is. Ideal
      after a redaction is 0.5: less gives the voice away as well, by being avoided. The interval is over
      samples; that the strangers were drawn too is met with a tolerance of 0.1.
    - *EER against strangers*: the verifier's equal error rate between both; ideal 0.5.
    - *stranger floor*, *same-speaker ceiling*: mean cosine of strangers' clips, and of the voice's own
      clips with a prototype made of its others. They are the scale of every similarity beside them.

    Args:
        bank: Folder with one subfolder of clips for each enrolled voice; default: the bundled one.
        folder: With ``verifier``; default: the bundled one.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "AUROC against strangers": Metric(
            "set",
            "ideal",
            "as base",
            ideal=0.5,
            tolerance=0.1,
            note="how often a sample is more like the voice than a stranger's clip is; 0.5 cannot be told apart",
        ),
        "EER against strangers": Metric(
            "set",
            "ideal",
            "as base",
            ideal=0.5,
            tolerance=0.1,
            note="share of mistakes where samples and strangers' clips are mistaken equally often; 0.5 is chance",
        ),
        "stranger floor": Metric("set", None, None, note="the mean similarity of strangers' real clips"),
        "same-speaker ceiling": Metric(
            "set", None, None, note="the mean similarity of the voice's own clips"
        ),
    }

    def __init__(self, bank: Path | None = None, folder: Path | None = None):
        self.bank = VoiceBank(bank or BUNDLED / "voices")
        self.folder = at_home(folder or BUNDLED)
        self.judge = VoiceJudge({}, folder)
        self.clips = {
            voice: self.judge.embed([read_clip(clip) for clip in clips])
            for voice, clips in self.bank.voices.items()
        }

    @property
    def files(self) -> Mapping[str, Path]:
        return gallery_files(self.folder, self.bank)

    def embed(self, paths: Sequence[Path]) -> Tensor:
        width = next(iter(self.clips.values())).shape[1]
        rows: list[Tensor] = []
        for path in paths:
            try:
                rows.append(self.judge.embed([read_sound(path)])[0])
            except RedactError:
                rows.append(torch.full((width,), torch.nan))
        return torch.stack(rows)

    def compare(self, group: Group) -> dict[str, Pair]:
        voices = [row.labels.get("voice", "") for row in group.rows]
        enrolled = [i for i, voice in enumerate(voices) if voice in self.clips]
        asked = {voices[i] for i in enrolled}
        beside = asked | {row.labels.get("reference", "") for row in group.rows}
        strangers = [clips for voice, clips in self.clips.items() if voice not in beside]
        if not enrolled or not strangers:
            return {}
        prototypes = {voice: normalize(self.clips[voice].mean(0), dim=0) for voice in sorted(asked)}
        others = torch.cat(strangers)
        far = torch.cat([others @ prototypes[voice] for voice in prototypes])
        near = torch.stack([prototypes[voices[i]] for i in enrolled])
        own, base = ((side[enrolled] * near).sum(1) for side in (group.own, group.base))
        n = len(enrolled)
        found = {
            name: Pair(measure(own, far), measure(base, far), n, len(others))
            for name, measure in (
                ("AUROC against strangers", auroc),
                ("EER against strangers", equal_error_rate),
            )
        }
        floor = far.mean().item()
        found["stranger floor"] = Pair(floor, floor, n, len(others))
        alike = [self._held_out(voice) for voice in prototypes if len(self.clips[voice]) > 1]
        if alike:
            ceiling = torch.cat(alike)
            mean = ceiling.mean().item()
            found["same-speaker ceiling"] = Pair(mean, mean, n, len(ceiling))
        return found

    def _held_out(self, voice: str) -> Tensor:
        """``(clips,)`` cosine of each clip with the prototype of the voice's other clips."""
        clips = self.clips[voice]
        rest = (clips.sum(0) - clips) / (len(clips) - 1)
        return (clips * normalize(rest, dim=1)).sum(1)
