"""What the bundled speech base reaches: who is heard in generated and in real clips, what is read.

    python scripts/recipes/text_to_speech/grade.py --runs runs/speech --n 240

Sentences are the unseen ones of the package; reference clips come from split ``test``. Real clips
of the same split are the ceiling. Writes ``grades.json`` into the bundled folder.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

from lightning_modules.support.one_line import one_line
from modalities.sound.bank import VoiceBank
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.adapters.spectrogram_loss import log_mel
from modalities.text_to_speech.adapters.speecht5 import BUNDLED
from modalities.text_to_speech.judges.grading import Case, Spoken, cases, speak
from modalities.text_to_speech.judges.judge import VoiceJudge
from modalities.text_to_speech.judges.recogniser import error_rate
from redact_core.metrics.statistics import bootstrap_mean, wilson

sys.path.insert(0, str(Path(__file__).parent))
from corpus import read


def line(name: str, spoken: Spoken, said: list[str]) -> dict:
    best = spoken.heard.similarity.argmax(1).tolist()
    hits = sum(spoken.heard.voices[b] == c.voice for b, c in zip(best, spoken.cases, strict=True))
    errors = [error_rate([h], [s]) for h, s in zip(spoken.read, said, strict=True)]
    identified, cer = wilson(hits, len(said)), bootstrap_mean(errors)
    total = error_rate(spoken.read, said)
    print(f"{name}: identified among {len(spoken.heard.voices)} {identified}; character errors {cer} a clip, "
          f"{100 * total:.1f} % in all")  # fmt: skip
    return {"identified": identified._asdict(), "cer": cer._asdict(), "cer_all": total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--n", type=int, default=240)
    args = parser.parse_args()
    model, corpus = SpeechT5("bundled"), read(args.runs)
    judge = VoiceJudge(model.bank.voices)
    unseen = VoiceBank(BUNDLED / "unseen").voices
    grades = {}
    group = cases(unseen, args.n)
    generated = speak(model, judge, group)
    grades["generated"] = line("generated", generated, [model.sentence(case.seed) for case in group])
    test = corpus.where("test", synthetic=True)
    pick = np.random.default_rng(0).choice(test, min(args.n, len(test)), replace=False)
    clips = [Case(Path("test"), str(corpus.names[corpus.speaker[i]]), 0) for i in pick]
    samples = [torch.from_numpy(corpus.wave(i)) for i in pick]
    # what a model that predicts spectrograms perfectly would reach
    vocoded = [model.vocode(log_mel(model.processor, wave, 1)) for wave in samples]
    said = [str(corpus.text[i]) for i in pick]
    for name, sounds in (("real clips", samples), ("real spectrograms", vocoded)):
        grades[name] = line(name, Spoken(clips, sounds, judge(sounds), judge.read(sounds)), said)
    by_voice: dict[str, list[bool]] = {}
    for case, best in zip(group, generated.heard.similarity.argmax(1).tolist(), strict=True):
        by_voice.setdefault(case.voice, []).append(judge.voices[best] == case.voice)
    grades["identified by voice"] = {name: sum(hits) / len(hits) for name, hits in by_voice.items()}
    (BUNDLED / "grades.json").write_text(
        json.dumps(grades, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    with one_line():
        main()
