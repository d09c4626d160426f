"""Whether a gate names the voice that it closes: from its weights, and from what it does; with and without noise on them.

    REDACT_DATA=/path/to/data python scripts/experiments/gate_print.py --encoder resemblyzer --out OUT

People, clips and gallery are those of scripts/experiments/gate_splits.py, whose embeddings in OUT are used. Whoever has the gate knows
everybody by clips that the gate was not made from, and names a person in two ways: the one to whom the stored direction is nearest, also with the
mean of all taken out of both; and the one for whose clips the gate opens most. *Turned* is the stored direction turned by noise
to a cosine to the voice; the gate is made as if the clips lay around it. Writes OUT/print.json.
"""

import argparse
import json
import random
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from gate_splits import ENCODERS, GIVEN, UNKNOWN, identified, kept_embeddings, through
from people.embeddings import middle
from torch import Tensor
from torch.nn.functional import normalize

from lightning_modules.support.one_line import one_line
from redact_core.gates import fit_gate
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole

CLIPS = 4
TURNS = (1.0, 0.95, 0.78, 0.55, 0.3)


def turned(own: Tensor, cosine: float, generator: torch.Generator) -> Tensor:
    """``own (clips, variants, dim)``, all moved so that their mean direction is turned away to ``cosine``."""
    voice = middle(own[:, 0])
    noise = torch.randn(len(voice), generator=generator)
    noise = normalize(noise - (noise @ voice) * voice, dim=0)
    other = cosine * voice + (1 - cosine**2) ** 0.5 * noise
    return own + own.norm(dim=-1, keepdim=True) * (other - voice)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="resemblyzer", choices=ENCODERS)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    _, voices = kept_embeddings(args.encoder, args.out)
    order = [who for who in voices if not who.startswith("fsdd_")]
    random.Random(0).shuffle(order)
    unknown, given, targets = order[:UNKNOWN], order[UNKNOWN : UNKNOWN + GIVEN], order[UNKNOWN + GIVEN :]
    known = {who: own["pieces"][CLIPS:, 0] for who, own in voices.items()}  # to whoever has the gate
    gallery = torch.stack([middle(rows) for rows in known.values()])
    mean = gallery.mean(0)
    stays = [voices[who]["whole"][:, 0] for who in given]
    strange = torch.cat([voices[who]["whole"][:, 0] for who in unknown])
    rows: list[dict] = []
    for cosine in TURNS:
        generator = torch.Generator().manual_seed(0)
        hits, figures = dict[str, int](), list[dict[str, float]]()
        for target in targets:
            column = list(known).index(target)
            own, unseen = voices[target]["pieces"][:CLIPS], known[target]
            fitted = fit_gate(turned(own, cosine, generator), stays)
            cell = replace(fitted.cell, own_spikes=fitted.cell.own_spikes[:0])  # these are clips of the voice
            stored = normalize(cell.network().state_dict()["1.weight"][0], dim=0)
            opened = torch.stack([cell.excess(normalize(x, dim=1)).median() for x in known.values()])
            for way, found in (
                ("by the direction", gallery @ stored),
                ("by the direction less the mean", normalize(gallery - mean, dim=1) @ (stored - mean)),
                ("by what opens it", opened),
            ):
                hits[way] = hits.get(way, 0) + int(found.argmax() == column)
            after = through(fitted.gate, unseen)
            everybody = torch.cat([middle(own[:, 0])[None], *(middle(x)[None] for x in stays)])
            moved = through(fitted.gate, strange)
            figures.append(
                {
                    "unseen clips unchanged": (after == unseen).all(1).double().mean().item(),
                    "identified": identified(after, everybody),
                    "unknown cosine": torch.cosine_similarity(moved, strange).mean().item(),
                }
            )
        row = {"cosine": cosine, "people": len(targets), "among": len(gallery)}
        row |= {f"named {way}": wilson(n, len(targets))._asdict() for way, n in hits.items()}
        row |= {key: round(statistics.fmean(x[key] for x in figures), 4) for key in figures[0]}
        rows.append(row)
        print(json.dumps(row, allow_nan=False), flush=True)
    write_whole(
        args.out / "print.json", (json.dumps({"rows": rows}, indent=1, allow_nan=False) + "\n").encode()
    )


if __name__ == "__main__":
    with one_line():
        main()
