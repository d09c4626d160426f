"""Run the checks of every family of models on local folders and write what they found.

    PYTHONPATH=tests/support python scripts/experiments/support_table.py docs/results/support.json docs/results/support.md

The folders are random and tiny, of the classes that the hub's models have, so the figures say that the path is covered
and by how much the method reaches its target there; they say nothing about pictures. Everything between the page's two
marks is replaced.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from marks import between
from published import PUBLISHED, on_meta
from safetensors.torch import load_file
from tiny import tiny_stable_diffusion, tiny_stable_diffusion_xl
from tiny_pipelines import BUILDERS, FILMS, tiny_pipeline
from tiny_vits import tiny_vits
from transformers import VitsModel

from modalities.inspecting import inspect
from modalities.text_to_image.adapters.prompt_pipeline import PromptPipeline
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.adapters.stable_diffusion_xl import StableDiffusionXL
from modalities.text_to_image.exports.export import export
from modalities.text_to_speech.adapters.speaker_table import SpeakerTable
from redact_core import ClosedForm, Distillation, Lesson, RedactError, redact
from redact_core.objectives.distances import conditioning_distance

BEGIN, MEMORY, END = "<!-- families of support.json -->", "<!-- memory of support.json -->", "<!-- end -->"
ASKED = ["a cat", "a photo of a cat", "a cat with a dog", "the cat"]
ANSWER = ["a guitar", "a photo of a guitar", "a guitar with a dog", "the guitar"]
KEPT = ["a dog", "the tree", "a red dog", "a photo of a tree", ""]
ROWS = [
    *(Lesson.redact(asked, answer) for asked, answer in zip(ASKED, ANSWER, strict=True)),
    *(Lesson.retain(prompt) for prompt in [*KEPT, *ANSWER]),
]


def closed_form() -> ClosedForm:
    return ClosedForm(disturbed=0, ridge=1e-6, redact_weight=1.0)


def said(action: Callable[[], Any]) -> str:
    """``yes``, or why not, in the message's first part."""
    try:
        action()
    except RedactError as error:
        return f"no: {str(error).partition(';')[0]}"
    return "yes"


def distances(model: Any, before: list[Any]) -> tuple[float, float]:
    """What is left of the way to the reference, and how far retained prompts moved, both over the whole way."""
    asked, answer, kept = before
    with torch.no_grad():
        now, still = model.encode(ASKED), model.encode(KEPT)
    far = conditioning_distance(asked, answer).mean()
    return (
        (conditioning_distance(now, answer).mean() / far).item(),
        (conditioning_distance(still, kept).mean() / far).item(),
    )


def picture_family(kind: str, place: Path) -> dict[str, Any]:
    """All checks of one class of pipelines."""
    makers = {
        "StableDiffusionPipeline": (lambda: tiny_stable_diffusion(place / "base"), StableDiffusion),
        "StableDiffusionXLPipeline": (lambda: tiny_stable_diffusion_xl(place / "base"), StableDiffusionXL),
    }
    make, adapter = makers.get(kind, (lambda: tiny_pipeline(place / "base", kind), PromptPipeline))
    base = make()
    model = adapter(str(base))
    with torch.no_grad():
        before = [model.encode(prompts) for prompts in (ASKED, ANSWER, KEPT)]
    trained = kind in {"StableDiffusionXLPipeline", "SanaPipeline"}
    method = Distillation(redact_weight=1.0) if trained else closed_form()
    began = time.monotonic()
    redact(model, ROWS, objective=method, **({"steps": 40, "lr": 1e-3} if trained else {}))
    seconds = time.monotonic() - began
    left, moved = distances(model, before)
    several = adapter is PromptPipeline and len(model.encoder_modules()) > 1
    model.save_pretrained(place / "out")
    index = json.loads((base / "model_index.json").read_text())
    absent = {name: None for name, value in index.items() if value == [None, None]}
    found = inspect(str(place / "out"))
    covered = [path for path in found.paths if path.covered_by]
    return {
        "family": kind,
        "adapter": found.adapter,
        "method": type(method).__name__,
        "seconds": seconds,
        "left": left,
        "moved": moved,
        "paths_covered": [path.name for path in covered],
        "paths_changed": [path.name for path in covered if path.redacted],
        "paths_open": [path.name for path in found.paths if not path.covered_by],
        "by_path": by_path(model, before) if several else {},
        "one_encoder_alone": alone(adapter, base, before)
        if adapter is PromptPipeline and not trained
        else {},
        "stock_class_loads": said(lambda: getattr(diffusers, kind).from_pretrained(place / "out", **absent)),
        "draws": "not tried" if kind in FILMS else said(lambda: drawn(adapter, place / "out", kind)),
        "lora": said(lambda: export(str(place / "out"), "lora", str(place / "lora"), base=str(base))),
        "encoder": said(lambda: export(str(place / "out"), "encoder", str(place / "encoder"))),
    }


def by_path(model: Any, before: list[Any]) -> dict[str, float]:
    """What is left of the way to the reference, of the sequence and of the pooled vector by themselves."""
    asked, answer, _ = before
    with torch.no_grad():
        now = model.encode(ASKED)

    def left(name: str) -> float:
        one, aim, start = (getattr(found, name) for found in (now, answer, asked))
        return ((one - aim).square().mean() / (start - aim).square().mean()).item()

    return {"sequence": left("hidden")} | ({} if now.pooled is None else {"pooled vector": left("pooled")})


def alone(adapter: Any, base: Path, before: list[Any]) -> dict[str, dict[str, float]]:
    """What is left where one encoder alone is redacted."""
    found: dict[str, dict[str, float]] = {}
    for part in adapter(str(base)).encoder_modules():
        model = adapter(str(base))
        for view in model.closed_form_views():
            if view.encoder.part == part:
                closed_form().solve(view, ROWS)
        found[part] = by_path(model, before)
    return found if len(found) > 1 else {}


def drawn(adapter: Any, folder: Path, kind: str) -> None:
    options: dict[str, Any] = (
        {"size": 32 if kind == "SanaPipeline" else 16} if adapter is PromptPipeline else {}
    )
    pictures = adapter(str(folder), steps=2, **options).generate(["a cat"], seeds=[0])
    if not torch.isfinite(pictures[0]).all():
        raise RedactError("the picture is not finite; look at the pipeline.")


def voice_table(place: Path) -> dict[str, Any]:
    """The exact edit of a multi-speaker VITS."""
    base = tiny_vits(place / "base")
    model = SpeakerTable(str(base))
    began = time.monotonic()
    redact(model, "bob", reference="carol")
    seconds = time.monotonic() - began
    model.save_pretrained(place / "out")
    old, new = (
        load_file(folder / "model.safetensors")["embed_speaker.weight"] for folder in (base, place / "out")
    )
    rows = [i for i in range(len(old)) if i != 1]
    found = inspect(str(place / "out"))
    covered = [path for path in found.paths if path.covered_by]
    return {
        "family": "VitsModel, several speakers",
        "adapter": found.adapter,
        "method": "exact, without training",
        "seconds": seconds,
        "left": float((new[1] - old[2]).square().sum() / (old[1] - old[2]).square().sum()),
        "moved": float((new[rows] - old[rows]).abs().max()),
        "paths_covered": [path.name for path in covered],
        "paths_changed": [path.name for path in covered if path.redacted],
        "paths_open": [path.name for path in found.paths if not path.covered_by],
        "by_path": {},
        "one_encoder_alone": {},
        "stock_class_loads": said(lambda: VitsModel.from_pretrained(place / "out")),
        "draws": said(
            lambda: SpeakerTable(str(place / "out"), text="the cat").generate(["alice"], seeds=[0])
        ),
        "lora": "–",
        "encoder": "–",
    }


def memory(name: str) -> dict[str, Any]:
    """Bytes that follow from a published configuration: weights in float32, and what each method keeps beside them."""
    model = on_meta(name)
    weights = 4 * sum(p.numel() for p in model.parameters())
    features = max(m.in_features for m in model.modules() if isinstance(m, torch.nn.Linear))
    # sums of two groups in double precision, their total, and the copy that the solver makes
    sums = 4 * 8 * (features + 1) ** 2
    # student and teacher, gradients, two moments
    return {"encoder": name, "weights": weights, "closed_form": weights + sums, "distillation": 5 * weights}


def memory_table(rows: list[dict[str, Any]]) -> str:
    head = ["encoder", "weights, float32", "closed form", "distillation of all weights"]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in rows:
        sizes = [f"{row[key] / 1e9:.1f} GB" for key in ("weights", "closed_form", "distillation")]
        lines.append(" | ".join([row["encoder"], *sizes]))
    return "\n".join(f"| {line} |" for line in lines)


def share(value: float) -> str:
    return f"{value:.1%}" if value >= 0.0005 else f"{value:.0e}" if value else "0"


def table(rows: list[dict[str, Any]]) -> str:
    """The families, and below them what one encoder alone leaves."""
    head = ["family", "adapter", "method", "paths covered", "left", "retained moved", "stock class loads", "draws", "LoRA", "encoder"]  # fmt: skip
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in rows:
        changed = f"{len(row['paths_changed'])} of {len(row['paths_covered'])}"
        lora = "no" if row["lora"].startswith("no") else row["lora"]
        cells = [
            row["family"], f"`{row['adapter']}`", row["method"], changed, share(row["left"]), share(row["moved"]),
            row["stock_class_loads"], row["draws"], lora, row["encoder"],
        ]  # fmt: skip
        lines.append(" | ".join(cells))
    several = [row for row in rows if row["one_encoder_alone"]]
    alone_lines = ["redacted | left of the sequence | left of the pooled vector", "--- | --- | ---"]
    for row in several:
        for part, left in [*row["one_encoder_alone"].items(), ("all of them", row["by_path"])]:
            cells = [
                f"{row['family']}: {part}",
                *(share(left[name]) for name in ("sequence", "pooled vector")),
            ]
            alone_lines.append(" | ".join(cells))
    body = "\n".join(f"| {line} |" for line in lines)
    return body + "\n\n" + "\n".join(f"| {line} |" for line in alone_lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--only", nargs="*", help="Families; default: all.")
    parser.add_argument("--table", action="store_true", help="Write the page from the JSON that is there.")
    config = parser.parse_args()
    if not config.table:
        families = config.only or ["StableDiffusionPipeline", "StableDiffusionXLPipeline", *BUILDERS]
        rows: list[dict[str, Any]] = []
        for kind in families:
            with tempfile.TemporaryDirectory() as place:
                rows.append(picture_family(kind, Path(place)))
                print(json.dumps(rows[-1], allow_nan=False), flush=True)
        if not config.only:
            with tempfile.TemporaryDirectory() as place:
                rows.append(voice_table(Path(place)))
        versions = {"diffusers": diffusers.__version__, "torch": torch.__version__}
        config.json.write_text(
            json.dumps(
                {"versions": versions, "families": rows, "memory": [memory(name) for name in PUBLISHED]},
                indent=1,
                allow_nan=False,
            )
            + "\n",
            encoding="utf-8",
        )
    found = json.loads(config.json.read_text(encoding="utf-8"))
    text = config.page.read_text(encoding="utf-8")
    for mark, written in ((BEGIN, table(found["families"])), (MEMORY, memory_table(found["memory"]))):
        text = between(text, mark, END, written)
    config.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
