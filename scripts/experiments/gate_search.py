"""How far a search of embeddings that knows a gate gets among few people, by the cap, beside what the cap costs.

    REDACT_DATA=/path/to/data python scripts/experiments/gate_search.py --encoder resemblyzer --out OUT

People and gates are those of a split of gate_splits.py, some of its LibriSpeech speakers drawn by chance; its embeddings in OUT are
used if they are there. What is searched are mixtures of real embeddings, of clips of the voice, of those who stay and of
people whom the gate does not know, so that they stay where the encoder reaches; each search begins at somebody unknown. It raises the
likeness of the output to the voice above that to the nearest of fifteen others, and is cut where the gate replaces. No clip is
made: an attack on clips reaches as much or less. Writes OUT/search.json.
"""

import argparse
import json
import math
import random
import statistics
from pathlib import Path

import torch
from gate_splits import ENCODERS, FEW, Voices, kept_embeddings, learnt, parts, through
from people.embeddings import middle
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from lightning_modules.support.one_line import one_line
from redact_core.gates import GateSettings, fit_gate
from redact_core.gates.fit import FittedGate
from redact_core.support.folders import write_whole

SPLIT, CLIPS, RATE, FAINT = 1, 4, 0.15, -9.0
INSIDE, WEIGHT = 0.002, 10.0
"""How far from being replaced the search keeps, and how much that weighs."""


def search(
    fitted: FittedGate, basis: Tensor, sixteen: Tensor, begin: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """``(starts,)`` by how much the best output is more like the voice than like anybody else, and how like it is.

    Args:
        fitted: The gate; nothing that it replaces counts.
        basis: ``(n, dim)`` embeddings of length 1 that are mixed.
        sixteen: ``(people, dim)`` of length 1, the voice first.
        begin: ``(starts,)`` rows of ``basis``.
        steps: Of Adam.
    """
    weights = torch.full((len(begin), len(basis)), FAINT)
    weights[torch.arange(len(begin)), begin] = 0.0
    weights.requires_grad_(True)
    optimiser = torch.optim.Adam([weights], lr=RATE)
    best, reached = torch.full((len(begin),), -2.0), torch.zeros(len(begin))
    limit = fitted.cell.sure
    for _ in range(steps):
        embedding = normalize(weights.softmax(1) @ basis, dim=1)[:, None]
        excess = fitted.gate.opening(embedding)[:, 0]
        alike = normalize(fitted.gate.moved(embedding)[:, 0], dim=1) @ sixteen.T
        ahead = alike[:, 0] - alike[:, 1:].amax(1)
        with torch.no_grad():
            better = (excess <= limit) & (ahead > best)
            best = torch.where(better, ahead, best)
            reached = torch.where(better, alike[:, 0], reached)
        loss = (WEIGHT * torch.relu(excess - limit + INSIDE) - ahead).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return best, reached


def row(voices: Voices, people: list[str], cap: float, starts: int, steps: int) -> dict[str, float | None]:
    """Means over ``people`` of what was found, and of what unknown people pay."""
    unknown, given, targets, fsdd = parts(voices, SPLIT)
    strange = torch.cat([voices[name]["whole"][:, 0] for name in unknown])
    pieces = torch.cat([voices[name]["pieces"][:, 0] for name in unknown])
    found: list[dict[str, float]] = []
    for person in tqdm(people, desc=f"cap {cap:g}", unit="person"):
        kept = [learnt(voices[name], CLIPS) for name in (*given, *fsdd)]
        fitted = fit_gate(
            voices[person]["pieces"][:CLIPS],
            kept,
            candidates=range(len(given)),
            settings=GateSettings(cap=cap),
        )
        voice = fitted.cell.voice
        others = [x for x in targets[:FEW] + fsdd if x != person][: FEW + len(fsdd) - 1]
        sixteen = torch.stack([voice, *(middle(voices[x]["pieces"][:CLIPS, 0]) for x in others)])
        basis = normalize(torch.cat([pieces, *kept, voices[person]["pieces"][:, 0]]), dim=1)
        generator = torch.Generator().manual_seed(0)
        ahead, reached = search(
            fitted, basis, sixteen, torch.randint(len(pieces), (starts,), generator=generator), steps
        )
        with torch.no_grad():
            same = torch.cosine_similarity(through(fitted.gate, strange), strange)
        near = (normalize(strange, dim=1) @ voice).topk(3).indices
        found.append({
            "named": (ahead > 0).double().mean().item(), "ahead": ahead.mean().item(),
            "likeness": reached.mean().item(), "cap": fitted.cell.cap, "nearest who stays": fitted.cell.high,
            "unknown cosine": same.mean().item(), "unknown nearest three cosine": same[near].mean().item(),
        })  # fmt: skip
    means = {name: round(statistics.fmean(one[name] for one in found), 4) for name in found[0]}
    return {"deviations": cap if cap < math.inf else None, "people": len(people), "starts": starts, **means}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="resemblyzer", choices=ENCODERS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draw", type=int, default=12, help="People.")
    parser.add_argument("--starts", type=int, default=8, help="Of the search, of each person.")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--cap", type=float, nargs="+", default=[math.inf, 1.5, 1.0, 0.5, 0.0])
    args = parser.parse_args()
    name, voices = kept_embeddings(args.encoder, args.out)
    _, _, targets, fsdd = parts(voices, SPLIT)
    people = random.Random(0).sample([x for x in targets if x not in fsdd], args.draw)
    rows = list[dict[str, float | None]]()
    for cap in args.cap:
        rows.append(row(voices, people, cap, args.starts, args.steps))
        print(rows[-1], flush=True)
        write_whole(
            args.out / "search.json",
            (json.dumps({"encoder": name, "rows": rows}, indent=1, allow_nan=False) + "\n").encode(),
        )


if __name__ == "__main__":
    with one_line():
        main()
