"""How often VoiceFilter errs on the bundled speech base, plain and attacked. Resumable.

    python scripts/experiments/voice_filter_rates.py --out out/voice_filter --voice voice21 --reference voice05

*FN* is the share of speech in the blocked voice that passes: asked with clips of the bank
(``redacted``) and with unseen ones (``paraphrased``); *in the voice* counts only speech in which the base's
own encoder, another network than the verifier, finds that voice nearer than any other of the bank. *FP* is the
share of other speech that is blocked. ``pair`` is the voice against the reference, ``lists`` against
every other voice of the bank, ``calibrated`` has its threshold set on speech of the base for a rate of
5 %. *FN, SNR* is under a disturbance of the output bounded in power, of the group ``paraphrased``.
"""

import argparse
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn.functional import normalize

from lightning_modules.comparison.result_tables import ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.sound.clips import RATE, fit_length
from modalities.text_to_speech import SpeechT5, VoiceFilter
from modalities.text_to_speech.attacks.filter_wave import FilterWave
from modalities.text_to_speech.attacks.voices import embed, prototypes
from redact_core import PlanRow, RedactError, Request
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole

GONE, KEPT = ("redacted", "paraphrased"), ("neighbours", "retained")
KINDS = ("pair", "lists", "lists calibrated")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voice", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--n", type=int, default=60, help="Samples of a group.")
    parser.add_argument("--n-validation", type=int, default=60, help="At least 20.")
    parser.add_argument("--n-attacked", type=int, default=60, help="Samples of each attack.")
    parser.add_argument("--snr", type=float, nargs="+", default=[40.0, 20.0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in vars(args).items() if key != "out"}
    study = Study(args, settings)
    for kind in KINDS:
        for group in GONE:
            study.cell(kind, f"FN, {group}", lambda k=kind, g=group: study.passed(k, study.speech(g)))
            study.cell(
                kind, f"FN, {group}, in the voice", lambda k=kind, g=group: study.passed(k, study.in_voice(g))
            )
        for group in KEPT:
            study.cell(kind, f"FP, {group}", lambda k=kind, g=group: study.blocked(k, g))
        for snr in args.snr:
            study.cell(kind, f"FN, SNR {snr:g} dB", lambda k=kind, s=snr: study.attacked(k, s))
    figures = table(study.found)
    write_tables(args.out / "tables.json", {"rates": figures})
    print(figures.markdown())


class Study:
    """Speech of the base, drawn once and kept, and the figures of each variant of the filter."""

    def __init__(self, args: argparse.Namespace, settings: dict):
        self.args, self.path = args, args.out / "cells.json"
        kept = (
            json.loads(self.path.read_text()) if self.path.exists() else {"settings": settings, "cells": {}}
        )
        if kept["settings"] != settings:
            raise RedactError(f"{self.path} was made with other settings; give another --out or remove it.")
        self.kept, self.found = kept, kept["cells"]
        self.base = SpeechT5("bundled")
        self.others = [voice for voice in self.base.bank.voices if voice != args.voice]
        self.rows = self._plan(args.seed, args.n)

    def _plan(self, seed: int, n: int) -> dict[str, list[PlanRow]]:
        rows: dict[str, list[PlanRow]] = {}
        for row in self.base.plan(Request((self.args.voice,), (self.args.reference,), seed=seed), n):
            rows.setdefault(row.group, []).append(row)
        return rows

    def cell(self, kind: str, name: str, make: Callable[[], tuple[int, int]]) -> None:
        """Make a figure if it is not there yet."""
        own = self.found.setdefault(kind, {})
        if name not in own:
            own[name] = make()
            write_whole(self.path, json.dumps(self.kept, indent=1, allow_nan=False).encode())
            print(f"{kind}: {name}: {own[name]}", flush=True)

    @cache  # noqa: B019 one object a process
    def speech(self, group: str) -> list[Tensor]:
        return self._kept(group, self.rows[group])

    def _kept(self, name: str, rows: list[PlanRow]) -> list[Tensor]:
        path = self.args.out / f"{name}.safetensors"
        if not path.exists():
            made = self.base.generate([row.condition for row in rows], seeds=[row.seed for row in rows])
            write_whole(path, save({f"{i:06d}": wave for i, wave in enumerate(made)}))
        return [wave for _, wave in sorted(load_file(path).items())]

    @cache  # noqa: B019
    def in_voice(self, group: str) -> list[Tensor]:
        """The speech in which the base's own encoder finds the blocked voice nearest."""
        names, spoken = list(self.base.bank.voices), self.speech(group)
        length = int(self.base.seconds * RATE)
        said = embed(self.base, torch.stack([fit_length(wave, length) for wave in spoken])).hidden[:, 0]
        nearest = (normalize(said, dim=1) @ prototypes(self.base, names).T).argmax(1).tolist()
        return [wave for wave, i in zip(spoken, nearest, strict=True) if names[i] == self.args.voice]

    @cache  # noqa: B019
    def guard(self, kind: str) -> VoiceFilter:
        allowed = [self.args.reference] if kind == "pair" else self.others
        guard = VoiceFilter(self.base, [self.args.voice], allowed)
        if "calibrated" in kind:  # other sentences than the tests', as seeds choose them
            rows = self._plan(self.args.seed + 500, self.args.n_validation)["retained"]
            guard = guard.calibrated(self._kept("validation", rows), 0.05)
        return guard

    def passed(self, kind: str, spoken: list[Tensor]) -> tuple[int, int]:
        if not spoken:
            return 0, 0
        guard = self.guard(kind)
        return len(spoken) - int(guard.anchors.blocked(guard.embed(spoken)).sum()), len(spoken)

    def blocked(self, kind: str, group: str) -> tuple[int, int]:
        guard, spoken = self.guard(kind), self.speech(group)
        return int(guard.anchors.blocked(guard.embed(spoken)).sum()), len(spoken)

    def attacked(self, kind: str, snr: float) -> tuple[int, int]:
        guard, attack = self.guard(kind), FilterWave(snr)
        return self.passed(
            kind, [attack.move(guard, w)[0] for w in self.speech("paraphrased")[: self.args.n_attacked]]
        )


def table(found: dict[str, dict[str, tuple[int, int]]]) -> ResultTable:
    heads = list(next(iter(found.values())))
    rows = [[kind, *(wilson(*own[head]) for head in heads)] for kind, own in found.items()]
    return ResultTable(["filter", *heads], rows, counts=True)


if __name__ == "__main__":
    with one_line(), torch.no_grad():
        main()
