"""How far do voices move that no row of a redaction holds? Real strangers, as a redacted encoder hears them.

    REDACT_DATA=/path/to/data python scripts/experiments/stranger_voices.py --redacted out/no_voice

A cloner is mostly given voices that nobody listed. One clip each of those LibriSpeech speakers who are not in
the bundled bank is heard by the stock encoder and by the redacted one. Shown are the cosine between the two answers
(mean, and of the one in twenty that moves most), the squared distance in percent of that between two strangers, and
how many are still nearest to themselves among all of them (Wilson's 95 % interval). Nothing is spoken. ``--out`` is a file for the table.
"""

import argparse
from pathlib import Path

import torch
from development_data import data_folder
from torch import Tensor

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.sound.bank import VoiceBank
from modalities.text_to_speech import SpeechT5
from redact_core.metrics.statistics import wilson

HEADS = ["redacted", "cosine", "of one in twenty at most", "squared distance", "still nearest to themselves"]


def strangers(bank: VoiceBank) -> list[str]:
    """A clip of every speaker whom the bank does not hold, as it holds some by ``stranger`` and their number."""
    folder = data_folder("librispeech251") / "librispeech251"
    found: dict[str, Path] = {}
    for clip in sorted(folder.rglob("*.flac")):
        speaker = clip.stem.split("-")[0]
        if f"stranger{speaker}" not in bank.voices:
            found.setdefault(speaker, clip)
    return [str(clip) for clip in found.values()]


@torch.no_grad()
def heard(model: SpeechT5, clips: list[str]) -> Tensor:
    """``(clips, dim)`` what the encoder says, each clip by itself: padding is nobody's voice."""
    return torch.cat([model.encode([clip]).hidden.flatten(1) for clip in clips])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redacted", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, help="File for the table, in JSON.")
    args = parser.parse_args()
    base = SpeechT5("bundled")
    clips = strangers(base.bank)
    stock = heard(base, clips)
    between = (stock - stock.roll(1, 0)).square().sum(1).mean()
    rows: list[list[Cell]] = []
    for folder in args.redacted:
        said = heard(base.reopen(folder), clips)
        cosine = torch.cosine_similarity(said, stock)
        distance = (said - stock).square().sum(1).mean() / between
        nearest = torch.cdist(said, stock).argmin(1) == torch.arange(len(clips))
        rows.append(
            [
                folder.name, f"{cosine.mean():.3f}", f"{cosine.quantile(0.05):.3f}", f"{100 * distance:.1f} %",
                wilson(int(nearest.sum()), len(clips)),
            ]
        )  # fmt: skip
    table = ResultTable(HEADS, rows, digits=1, counts=True)
    if args.out:
        write_tables(args.out, {"strangers": table})
    print(f"{len(clips)} strangers\n{table.markdown()}")


if __name__ == "__main__":
    with one_line():
        main()
