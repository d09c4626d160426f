"""Can a text-to-speech stage speak as real people? Who is heard, and what is read, beside the ceilings.

    python scripts/recipes/text_to_speech/grade_real.py --out runs/speech --stages tts_voice tts_real

Reference clips are of the split ``judge``, enrolled ones of ``test``, which nothing learnt from; sentences are
unseen. PocketSphinx, which knows no voice here, reads; it reads synthetic voices
badly, so they are read by the recogniser.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from lightning_modules.support.one_line import one_line
from modalities.sound.bank import VoiceBank
from modalities.sound.clips import RATE
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.adapters.speecht5 import BUNDLED
from modalities.text_to_speech.judges.grading import cases
from modalities.text_to_speech.judges.judge import VoiceJudge
from modalities.text_to_speech.judges.recogniser import error_rate
from redact_core.metrics.statistics import auroc, bootstrap_mean, wilson
from scripts.experiments.sphinx import decoder, heard

sys.path.insert(0, str(Path(__file__).parent))
from corpus import Corpus, read
from pieces import pieces


def clips(corpus: Corpus, split: str, folder: Path) -> dict[str, list[Path]]:
    """One file of the split for each real speaker whose every part is long enough."""
    real = corpus.where("train", "judge", "test", synthetic=False)
    curt = {corpus.speaker[i] for i in real if corpus.length[i] < 1.5 * RATE}
    found = {}
    for i in corpus.where(split, synthetic=False):
        if corpus.speaker[i] in curt:
            continue
        name = str(corpus.names[corpus.speaker[i]])
        path = folder / split / name / "0.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, corpus.wave(i), RATE)
        found[name] = [path]
    return found


def who(judge: VoiceJudge, samples: list[torch.Tensor], voices: list[str]) -> str:
    """How often the right voice is the nearest, and how well its likeness is told from that to the others."""
    likeness = judge(samples).similarity
    own = torch.tensor([judge.voices.index(voice) for voice in voices])
    right = torch.zeros_like(likeness, dtype=torch.bool).scatter(1, own[:, None], True)
    hits = int((likeness.argmax(1) == own).sum())
    return f"identified {wilson(hits, len(own))}, AUROC {auroc(likeness[right], likeness[~right]):.3f}"


def errors(heard: list[str], said: list[str]) -> str:
    rates = [error_rate([h], [s]) for h, s in zip(heard, said, strict=True)]
    return f"character errors {bootstrap_mean(rates)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", default=["tts_voice", "tts_real"])
    parser.add_argument("--n", type=int, default=240)
    args = parser.parse_args()
    corpus, cut = read(args.out), pieces(args.out)
    listener, folder = decoder(), args.out / "clips_of_people"

    def sphinx(waves: Sequence[torch.Tensor]) -> list[str]:
        return [heard(listener, wave) for wave in waves]

    asked, enrolled, ceiling = (clips(corpus, split, folder) for split in ("judge", "test", "train"))
    judge = VoiceJudge(enrolled)
    print(f"N = {len(judge.voices)} real people enrolled")
    rng = np.random.default_rng(0)
    rows = rng.permutation(np.concatenate([cut.where("test"), cut.where("judge")]))[: args.n]
    waves = [torch.from_numpy(cut.wave(i)) for i in rows]
    print("real people's pieces:", errors(sphinx(waves), [str(cut.text[i]) for i in rows]))
    named = list(ceiling)[: args.n]
    sounds = [torch.from_numpy(soundfile.read(ceiling[name][0], dtype="float32")[0]) for name in named]
    print("real people's other clips:", who(judge, sounds, named), flush=True)
    unseen = VoiceBank(BUNDLED / "unseen").voices
    base = SpeechT5("bundled")
    gallery = VoiceJudge(base.bank.voices)
    for stage in args.stages:
        model = base.reopen(args.out / stage)
        for label, clips_of, by, reading in (
            ("real people", asked, judge, sphinx),
            ("synthetic voices", unseen, gallery, gallery.read),
        ):
            group = cases(clips_of, args.n)
            samples = model.generate([case.clip for case in group], seeds=[case.seed for case in group])
            said = [model.sentence(case.seed) for case in group]
            print(f"{stage}, {label}: {who(by, samples, [case.voice for case in group])};",
                  errors(reading(samples), said), flush=True)  # fmt: skip


if __name__ == "__main__":
    with one_line():
        main()
