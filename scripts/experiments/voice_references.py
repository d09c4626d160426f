"""How like a redacted voice is the reference that redact chooses? Every voice of the bundled bank in turn, by the stock encoder.

    python scripts/experiments/voice_references.py --out out/voice_references.json

The reference is a mean of other voices: *stranger* (the default), *unlike* and *mean*. Beside them is the median of the other voices. Likeness
is the cosine to the mean embedding of the redacted voice's clips: the mean over all voices, and the largest. Nothing is trained or spoken.
"""

import argparse
import statistics
from pathlib import Path

import torch

from lightning_modules.comparison.result_tables import ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.text_to_speech import SpeechT5
from modalities.text_to_speech.voices.neighbours import remembered, standing, stranger, unlike

HEADS = ["reference", "voices in the mean", "likeness to the redacted voice", "largest"]


def line(name: str, counts: list[int], likeness: list[float]) -> list[str]:
    """Of one reference, over all redacted voices."""
    few, many = min(counts), max(counts)
    voices = str(few) if few == many else f"{few} to {many}"
    return [name, voices, f"{statistics.mean(likeness):.3f}", f"{max(likeness):.3f}"]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="File for the table, in JSON.")
    args = parser.parse_args()
    model = SpeechT5("bundled")
    embed = remembered(
        lambda clips: torch.cat([model.encode([str(clip)]).hidden.flatten(1) for clip in clips])
    )
    bank = model.bank.voices
    found: dict[str, tuple[list[int], list[float]]] = {}
    for voice, clips in bank.items():
        kept = [clip for other, some in bank.items() if other != voice for clip in some]
        references = {
            "`stranger`, the default": stranger(clips, [], kept, embed).clips,
            "`unlike`": unlike(clips, kept, embed),
            "`mean`": kept,
        }
        for name, members in references.items():
            counts, likeness = found.setdefault(name, ([], []))
            counts.append(len({clip.parent for clip in members}))
            likeness.append(standing(clips, members, kept, embed).likeness)
        counts, likeness = found.setdefault("one of the others, the median", ([], []))
        counts.append(1)
        likeness.append(standing(clips, kept, kept, embed).strangers)
    table = ResultTable(HEADS, [line(name, *figures) for name, figures in found.items()])
    write_tables(args.out, {"references": table})
    print(f"{len(bank)} voices\n{table.markdown()}")


if __name__ == "__main__":
    with one_line():
        main()
