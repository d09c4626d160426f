"""Redact the bundled models by four small fixed requests and print a SHA-256 of every weight file that changed.

Run it before and after a change of the code that shall change no result: on one machine the lines stay the same.

OMP_NUM_THREADS=1 python scripts/tools/fixed_requests.py > before.txt
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from lightning_modules.support.one_line import one_line
from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeechT5
from redact_core import Adapter, Objective, RedactionCard, Request, RobustDistillation, redact
from redact_core.gates import Gating

NOT_WEIGHTS = (".json", ".yaml", ".txt", ".md")
REQUESTS: dict[str, tuple[Callable[[], Adapter], Request, Callable[[], Objective | None]]] = {
    "concept": (lambda: StableDiffusion("bundled"), Request(("cigarette",), ("lollipop",)), lambda: None),
    "robust concept": (
        lambda: StableDiffusion("bundled"),
        Request(("cigarette",), ("lollipop",)),
        lambda: RobustDistillation(steps=2, radius=2.0, words=0.5, places=4),
    ),
    "voice": (lambda: SpeechT5("bundled"), Request(("voice21",), ("voice05",)), lambda: None),
    "gate": (lambda: SpeechT5("bundled"), Request(("voice21",), ("voice05",)), Gating),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name, (model, request, objective) in REQUESTS.items():
        adapter = model()
        redact(
            adapter, request, objective=objective(), steps=args.steps, batch_size=16, seed=1, progress=False
        )
        with tempfile.TemporaryDirectory() as folder:
            adapter.save_pretrained(Path(folder) / "redacted")
            changed = RedactionCard.read(Path(folder) / "redacted").changed
        for file, hashes in sorted(changed.items()):
            if not file.endswith(NOT_WEIGHTS):
                print(f"{name}: {file} {hashes['after']}", flush=True)


if __name__ == "__main__":
    with one_line():
        main()
