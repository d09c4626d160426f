"""Time of writing evidence over the bare batched sampler, side by side in one run.

    python scripts/experiments/evidence_overhead.py --source bundled --n 64

Both draw the same batches in turns; evidence adds the files, their hashes and a line for each. The
time of a scorer is printed apart.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from redact_core import Adapter, PlanRow
from redact_core.adapters.contract import ToyAdapter
from redact_core.adapters.fingerprint import fingerprint
from redact_core.evaluation.evidence import BASE, Conduct, Evidence, begin
from redact_core.evaluation.scoring import score


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--source", default="bundled", help="bundled, a diffusers folder, or toy, which draws in no time"
    )
    parser.add_argument("--n", type=int, default=64, help="pictures")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    model: Adapter = ToyAdapter() if args.source == "toy" else StableDiffusion(args.source)
    model.batch_size = args.batch_size
    words = ToyAdapter.WORDS if args.source == "toy" else ("tiger", "sun", "rocket", "guitar")
    plan = [PlanRow(words[i % len(words)], "kept", "concept", i, False) for i in range(args.n)]
    plan = [PlanRow(r.condition, r.group, r.task, r.seed, False, {"concept": r.condition}) for r in plan]
    batches = [range(i, min(i + args.batch_size, args.n)) for i in range(0, args.n, args.batch_size)]

    def sample(indices: range) -> list:
        return model.generate([plan[i].condition for i in indices], seeds=[plan[i].seed for i in indices])

    sample(batches[0])  # what is loaded at the first picture
    bare, whole = [], []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            conduct = Conduct(args.batch_size, "32-true", "cpu", {})
            evidence = begin(Path(folder) / "evidence", plan, {BASE: fingerprint(model)}, conduct)
            a, b = one_round(evidence, model, batches, sample)
            if args.source != "toy":
                spent = score(evidence, [GraderScorer()], [{}])
        bare.append(a)
        whole.append(b)
    a, b = statistics.median(bare), statistics.median(whole)
    print("bare sampler   with evidence   overhead")
    print(
        f"{a:10.3f} s {b:14.3f} s {100 * (b / a - 1):9.2f} %   ({args.n} pictures, batches of {args.batch_size})"
    )
    if args.source != "toy":
        print(f"scoring them: {spent:.3f} s")


def one_round(evidence: Evidence, model: Adapter, batches: list[range], sample) -> tuple[float, float]:
    """Seconds of drawing all batches, and of drawing and writing them; both in turns."""
    bare = whole = 0.0
    with evidence.writer(model, BASE, 0) as writer:
        for indices in batches:
            began = time.perf_counter()
            sample(indices)
            bare += time.perf_counter() - began
            began = time.perf_counter()
            writer.write(indices, sample(indices))
            whole += time.perf_counter() - began
    return bare, whole


if __name__ == "__main__":
    with one_line():
        main()
