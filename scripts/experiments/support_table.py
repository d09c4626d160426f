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
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import tiny_cloners as cloners
import tiny_voice_tables as tables
from marks import between
from onnxruntime import InferenceSession
from published import PUBLISHED, on_meta
from safetensors.torch import load_file
from tiny import tiny_stable_diffusion, tiny_stable_diffusion_xl
from tiny_encoders import tiny_onnx_encoder, tiny_xvector
from tiny_kokoro import tiny_kokoro
from tiny_pipelines import BUILDERS, NO_PICTURES, tiny_pipeline
from tiny_speech import harmonic_bank, tiny_encoder
from tiny_vits import tiny_vits
from transformers import (
    FastSpeech2ConformerModel,
    FastSpeech2ConformerWithHifiGan,
    SeamlessM4TForTextToSpeech,
    VitsModel,
    WavLMForXVector,
)

from lightning_modules.support.one_line import one_line
from modalities.inspecting import inspect
from modalities.text_to_image.adapters.prompt_pipeline import PromptPipeline
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.adapters.stable_diffusion_xl import StableDiffusionXL
from modalities.text_to_image.exports.export import export
from modalities.text_to_speech import KokoroVoices, SpeakerEncoder, SpeakerTable, VoiceTable
from modalities.text_to_speech.cloners.paths import ParallelPaths
from modalities.text_to_speech.tables.finding import open_voices
from redact_core import ClosedForm, Distillation, Lesson, RedactError, Request, redact
from redact_core.objectives.distances import conditioning_distance

BEGIN, MEMORY, END = "<!-- families of support.json -->", "<!-- memory of support.json -->", "<!-- end -->"
EXACT = "exact, without training"
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
        "draws": "not tried" if kind in NO_PICTURES else said(lambda: drawn(adapter, place / "out", kind)),
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


def row_of(
    family: str, adapter: str, method: str, seconds: float, out: Path, left: float, moved: float
) -> dict[str, Any]:
    """A voice's row, without whether it loads and speaks."""
    found = inspect(str(out))
    covered = [path for path in found.paths if path.covered_by == adapter]
    return {
        "family": family, "adapter": adapter, "method": method, "seconds": seconds, "left": left, "moved": moved,
        "paths_covered": [path.name for path in covered],
        "paths_changed": [path.name for path in covered if path.redacted],
        "paths_open": [path.name for path in found.paths if path not in covered],
        "by_path": {}, "one_encoder_alone": {}, "lora": "–", "encoder": "–",
    }  # fmt: skip


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
    left = float((new[1] - old[2]).square().sum() / (old[1] - old[2]).square().sum())
    moved = float((new[rows] - old[rows]).abs().max())
    return row_of(
        "VitsModel, several speakers", "SpeakerTable", EXACT, seconds, place / "out", left, moved
    ) | {
        "stock_class_loads": said(lambda: VitsModel.from_pretrained(place / "out")),
        "draws": said(
            lambda: SpeakerTable(str(place / "out"), text="the cat").generate(["alice"], seeds=[0])
        ),
    }


STORED: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    "Kokoro, voice packs": (tiny_kokoro, lambda folder: np.load(folder / "voices_ja.npz")["af_bea"]),
    "FastSpeech2ConformerModel": (tables.fastspeech, FastSpeech2ConformerModel.from_pretrained),
    "FastSpeech2ConformerWithHifiGan": (tables.fastspeech_hifigan, FastSpeech2ConformerWithHifiGan.from_pretrained),
    "SeamlessM4TForTextToSpeech": (tables.seamless, SeamlessM4TForTextToSpeech.from_pretrained),
    "Piper, several speakers": (tables.piper, lambda folder: InferenceSession(folder / tables.PIPER)),
    "Bark, presets of Suno": (tables.bark_archives, lambda folder: np.load(folder / "assets/prompts/v2/bob.npz")),
    "Bark, presets of transformers": (
        tables.bark_arrays, lambda folder: np.load(folder / "speaker_embeddings/bob_fine_prompt.npy"),
    ),
    "XTTS, speakers_xtts.pth": (tables.xtts, lambda folder: torch.load(folder / "speakers_xtts.pth")["bob"]),
    "CosyVoice, spk2info.pt": (tables.cosyvoice, lambda folder: torch.load(folder / "spk2info.pt")["bob"]),
    "Qwen2.5-Omni, spk_dict.pt": (tables.qwen, lambda folder: torch.load(folder / "spk_dict.pt")["bob"]),
}  # fmt: skip
"""Family -> what builds a tiny folder, and how the model's own code reads what was saved."""


def stored_voices(family: str, place: Path) -> dict[str, Any]:
    """The exact edit of one format of stored voices: its first voice becomes its last."""
    make, loads = STORED[family]
    kokoro = make is tiny_kokoro
    base = make(place / "base")
    model = KokoroVoices(str(base), sentences={"a cook": "ka ok"}) if kokoro else VoiceTable(str(base))
    before = [model.stored.read(row) for row in range(model.names.count)]
    began = time.monotonic()
    redact(model, model.names.name(0), reference=model.names.name(model.names.count - 1))
    seconds = time.monotonic() - began
    model.save_pretrained(place / "out")
    saved = open_voices(place / "out")
    gone, *kept = (saved.read(saved.voices.index(voice)) for voice in model.stored.voices)
    exact = all(torch.equal(gone[part], before[-1][part]) for part in gone)
    same = all(
        torch.equal(new[part], old[part]) for new, old in zip(kept, before[1:], strict=True) for part in new
    )
    return row_of(
        family, type(model).__name__, EXACT, seconds, place / "out", float(not exact), float(not same)
    ) | {
        "stock_class_loads": said(lambda: loads(place / "out")),
        "draws": said(lambda: model.generate(["af_bea"], seeds=[0])) if kokoro else "not tried",
    }


ENCODERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    "SpeechBrain ECAPA-TDNN": (tiny_encoder, lambda folder: SpeakerEncoder(str(folder))),
    "WavLMForXVector": (
        lambda folder: tiny_xvector(folder, WavLMForXVector), WavLMForXVector.from_pretrained
    ),
    "CosyVoice, campplus.onnx": (tiny_onnx_encoder, lambda folder: InferenceSession(folder / "campplus.onnx")),
}  # fmt: skip
CLONERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path, torch.Tensor], dict[str, torch.Tensor]]]] = {
    "XTTS 2": (cloners.tiny_xtts, cloners.xtts_says),
    "Chatterbox": (cloners.tiny_chatterbox, cloners.chatterbox_says),
    "StyleTTS 2": (cloners.tiny_styletts2, cloners.styletts2_says),
}
"""Family -> what builds a stand-in, and what computes both paths as the stock code does, from the folder's own files."""
STEPS, RATES = 60, {"XTTS 2": 3e-3, "Chatterbox": 3e-3, "StyleTTS 2": 1e-3}
"""Of distillation; more than its rate makes StyleTTS 2 swing."""


def gated_encoder(family: str, place: Path) -> dict[str, Any]:
    """A gate for one person behind a speaker encoder, and how many of the clips that it learnt from go through unchanged."""
    make, loads = ENCODERS[family]
    base = make(place / "base")
    model = SpeakerEncoder(str(base), harmonic_bank(place / "bank"), seconds=1.0, variants=2)
    clips = {name: model.collate([str(path) for path in paths]) for name, paths in model.bank.voices.items()}
    with torch.no_grad():
        before = {name: model.encoder(given).hidden[:, 0] for name, given in clips.items()}
    began = time.monotonic()
    redact(model, Request(("p0",), ("p5",)))
    seconds = time.monotonic() - began
    model.save_pretrained(place / "out")
    again = SpeakerEncoder(str(place / "out"), model.bank.folder, seconds=1.0)
    with torch.no_grad():
        after = {name: again.encoder(given).hidden[:, 0] for name, given in clips.items()}
    unchanged = (after["p0"] == before["p0"]).all(1).float().mean().item()
    moved = max((after[name] - before[name]).abs().max().item() for name in clips if name != "p0")
    return row_of(family, "SpeakerEncoder", "Gating", seconds, place / "out", unchanged, moved) | {
        "stock_class_loads": said(lambda: loads(place / "out")),
        "draws": "–",
    }


def cloner(family: str, place: Path) -> dict[str, Any]:
    """Gates for one person behind both paths; and what distillation of one path, and of both, leaves by each."""
    make, says = CLONERS[family]
    base, bank = make(place / "base"), harmonic_bank(place / "bank")
    request = Request(("p0",), ("p5",))

    def opened(folder: Path) -> SpeakerEncoder:
        return SpeakerEncoder(str(folder), bank, seconds=1.2, variants=2)

    model = opened(base)
    clips = {
        name: model.collate([str(path) for path in paths])["waveform"]
        for name, paths in model.bank.voices.items()
    }
    before = {name: says(base, waves) for name, waves in clips.items()}
    began = time.monotonic()
    redact(model, request)
    seconds = time.monotonic() - began
    model.save_pretrained(place / "out")
    after = {name: by_paths(opened(place / "out"), waves) for name, waves in clips.items()}
    paths = list(before["p0"])
    same = torch.stack(
        [(after["p0"][path] == by_paths(opened(base), clips["p0"])[path]).all(1) for path in paths]
    )
    stock = {name: by_paths(opened(base), waves) for name, waves in clips.items()}
    moved = max(
        (after[name][path] - stock[name][path]).abs().max().item()
        for name in clips
        for path in paths
        if name != "p0"
    )
    left = partial(left_by_path, request=request, clips=clips, says=says, rate=RATES[family])
    alone = {path: left(opened(base), [path], out=place / path) for path in paths}
    all_of_them = left(opened(base), paths, out=place / "all")
    return row_of(
        family, "SpeakerEncoder", "Gating", seconds, place / "out", same.float().mean().item(), moved
    ) | {
        "stock_class_loads": said(lambda: says(place / "out", clips["p0"])),
        "draws": "–",
        "by_path": all_of_them,
        "one_encoder_alone": alone,
    }


def by_paths(model: SpeakerEncoder, waves: torch.Tensor) -> dict[str, torch.Tensor]:
    """Path -> ``(clips, dim)``."""
    assert isinstance(model.encoder, ParallelPaths)
    with torch.no_grad():
        return {path: part({"waveform": waves}).hidden[:, 0] for path, part in model.encoder.parts.items()}


def left_by_path(
    model: SpeakerEncoder, paths: list[str], *, request: Request, clips: dict[str, torch.Tensor], out: Path, rate: float,
    says: Callable[[Path, torch.Tensor], dict[str, torch.Tensor]],
) -> dict[str, float]:  # fmt: skip
    """What is left of the way to the reference by each path, where ``paths`` alone were distilled; from the saved files."""
    assert isinstance(model.encoder, ParallelPaths)
    aim = {path: rows.mean(0) for path, rows in by_paths(model, clips["p5"]).items()}
    start = by_paths(model, clips["p0"])
    for path, part in model.encoder.parts.items():
        part.requires_grad_(path in paths)
    redact(model, request, objective=Distillation(redact_weight=4.0), steps=STEPS, lr=rate)
    model.save_pretrained(out)
    now = says(out, clips["p0"])
    return {
        path: ((now[path] - aim[path]).square().sum() / (start[path] - aim[path]).square().sum()).item()
        for path in start
    }


def voices() -> list[dict[str, Any]]:
    """The rows of every family of voices."""
    checks: list[Callable[[Path], dict[str, Any]]] = [
        voice_table,
        *(partial(stored_voices, family) for family in STORED),
        *(partial(gated_encoder, family) for family in ENCODERS),
        *(partial(cloner, family) for family in CLONERS),
    ]
    rows: list[dict[str, Any]] = []
    for check in checks:
        with tempfile.TemporaryDirectory() as place:
            rows.append(check(Path(place)))
            print(json.dumps(rows[-1], allow_nan=False), flush=True)
    return rows


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
    body = "\n".join(f"| {line} |" for line in lines)
    several = [row for row in rows if row["one_encoder_alone"]]
    pictures = [row for row in several if row["family"].endswith("Pipeline")]
    spoken = [row for row in several if row not in pictures]
    tables = [body, one_at_a_time(pictures, ["left of the sequence", "left of the pooled vector"])]
    return "\n\n".join(
        [*tables, one_at_a_time(spoken, ["left of the first path", "left of the second path"])]
    )


def one_at_a_time(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """What is left by each path where one encoder alone is redacted, and where all are."""
    lines = [" | ".join(["redacted", *columns]), " | ".join("---" for _ in ["redacted", *columns])]
    for row in rows:
        for part, left in [*row["one_encoder_alone"].items(), ("all of them", row["by_path"])]:
            lines.append(" | ".join([f"{row['family']}: {part}", *map(share, left.values())]))
    return "\n".join(f"| {line} |" for line in lines)


def pictures_of(kind: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        row = picture_family(kind, Path(place))
    print(json.dumps(row, allow_nan=False), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--only", nargs="*", help="Pipelines; the other rows stay as they are.")
    parser.add_argument(
        "--voices", action="store_true", help="Voices alone; the other rows stay as they are."
    )
    parser.add_argument("--table", action="store_true", help="Write the page from the JSON that is there.")
    config = parser.parse_args()
    if config.only:
        found = json.loads(config.json.read_text(encoding="utf-8"))
        rows = {row["family"]: row for row in found["families"]}
        last = max(i for i, row in enumerate(found["families"]) if row["family"].endswith("Pipeline"))
        for kind in config.only:
            row = pictures_of(kind)
            if kind in rows:
                rows[kind].update(row)
            else:
                last += 1
                found["families"].insert(last, row)
        config.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    elif config.voices:
        found = json.loads(config.json.read_text(encoding="utf-8"))
        pictures = [row for row in found["families"] if row["family"].endswith("Pipeline")]
        found["families"] = pictures + voices()
        config.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    elif not config.table:
        families = ["StableDiffusionPipeline", "StableDiffusionXLPipeline", *BUILDERS]
        rows = [*map(pictures_of, families), *voices()]
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
    with one_line():
        main()
