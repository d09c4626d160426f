"""What must run on every device and in every precision: models, methods and attacks of tiny weights.

Used with a real GPU by tests/gpu, and without one by tests/test_pretended_gpu.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tiny import tiny_stable_diffusion, tiny_stable_diffusion_xl
from tiny_class import tiny_class_folder, tiny_diffusion_folder
from tiny_cloner import tiny_cloner
from tiny_speech import tiny_bank
from tiny_staged import tiny_staged
from tiny_vocoder import pitched_bank, tiny_vocoder

from lightning_modules.evaluation.attacking import realise
from lightning_modules.support.specs import build, spec_of
from modalities.class_to_image import ClassConditional
from modalities.mel_to_speech import MelVocoder
from modalities.staged_to_image import StagedText
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.adapters.stable_diffusion_xl import StableDiffusionXL
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from modalities.text_to_speech import SpeechT5
from redact_core import (
    Adapter,
    Attack,
    ClosedForm,
    Condition,
    Distillation,
    Lesson,
    Objective,
    PlanRow,
    RobustAmnesia,
    RobustDistillation,
    SelectiveAmnesia,
    SequentialDistillation,
)
from redact_core.adapters.contract import ToyAdapter
from redact_core.objectives.base import frozen_copy

SCALINGS = 16
"""Steps that a scaler may leave out until no gradient overflows, as it does at the beginning of a training."""
PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}

Made = tuple[Adapter, list[Condition]]
"""A model, and conditions that it reads: the first is redacted, the second its reference, the others stay."""


def _speech(root: Path) -> Made:
    model = tiny_cloner(
        root, frames_per_letter=2.0, seconds=0.7, variants=2, sentences=["the fox", "a dog", "the jump"]
    )
    return model, [str(root / "bank" / name / "0.wav") for name in ("alice", "bob", "carol")]


def _hifigan(root: Path) -> Made:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    torch.manual_seed(0)
    config = SpeechT5HifiGanConfig(
        upsample_initial_channel=8, upsample_rates=[16, 16], upsample_kernel_sizes=[32, 32],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
    )  # fmt: skip
    SpeechT5HifiGan(config).save_pretrained(root / "vocoder")
    model, conditions = _speech(root)
    assert isinstance(model, SpeechT5)
    model.vocoder_folder = root / "vocoder"
    return model, conditions


def _vocoder(root: Path) -> Made:
    bank = pitched_bank(root / "bank")
    model = MelVocoder(str(tiny_vocoder(root / "model")), bank=bank, seconds=1.5, windows=2)
    return model, [str(bank / name / "0.wav") for name in ("amy", "ben", "cat")]


MODELS: dict[str, Callable[[Path], Made]] = {
    "toy": lambda root: (ToyAdapter(), ["plum", "pear", "fig"]),
    "prompt": lambda root: (
        StableDiffusion(str(tiny_stable_diffusion(root / "sd")), steps=2), ["a cat", "a dog", "red car"]
    ),
    "prompt pair": lambda root: (
        StableDiffusionXL(str(tiny_stable_diffusion_xl(root / "xl")), steps=2), ["a cat", "a dog", "red car"]
    ),
    "voice": _speech,
    "voice by HiFi-GAN": _hifigan,
    "vocoder": _vocoder,
    "class": lambda root: (ClassConditional(str(tiny_class_folder(root / "class"))), ["cup", "hat", "vase"]),
    "class by denoiser": lambda root: (
        ClassConditional(str(tiny_diffusion_folder(root / "class"))), ["cup", "hat", "vase"]
    ),
    "staged": lambda root: (
        StagedText(str(tiny_staged(root / "staged"))), ["a photo of a dark cup", "one plain hat alone", "vase"]
    ),
}  # fmt: skip

# few steps and rows: what is asked is whether they run, not how well
METHODS: dict[str, tuple[str, Callable[[], Objective]]] = {
    "distillation of prompts": ("prompt", Distillation),
    "distillation of prompt pairs": ("prompt pair", Distillation),
    "distillation of voices": ("voice", Distillation),
    "distillation of a vocoder": ("vocoder", Distillation),
    "from a start, prompts": ("prompt", lambda: Distillation(start=ClosedForm(rounds=1, attacked=2, steps=1))),
    "from a start, voices": ("voice", lambda: Distillation(start=ClosedForm(rounds=1, attacked=2, steps=1))),
    "robust, prompts": (
        "prompt",
        lambda: RobustDistillation(steps=2, radius=2.0, words=0.5, places=3, name_replacement=2, start=ClosedForm()),
    ),
    "robust, voices": ("voice", lambda: RobustDistillation(steps=2)),
    "stage after stage": ("staged", lambda: SequentialDistillation(steps=(2, 2))),
    "amnesia of classes": (
        "class by denoiser", lambda: SelectiveAmnesia(surrogates=2, replays=3, fisher_samples=2, fisher_times=2)
    ),
    "robust amnesia of prompts": (
        "prompt",
        lambda: RobustAmnesia(
            surrogates=2, replays=2, fisher_samples=1, fisher_times=1, words=1, life=2, unused=0, searched=2, samples=2
        ),
    ),
    "amnesia of voices": (
        "voice", lambda: SelectiveAmnesia(surrogates=1, replays=2, fisher_samples=1)
    ),
}  # fmt: skip


def lessons_of(conditions: Sequence[Condition]) -> list[Lesson]:
    gone, reference, *others = conditions
    return [Lesson.redact(gone, reference), *(Lesson.retain(x) for x in (reference, *others))]


def take_step(
    adapter: Adapter, conditions: Sequence[Condition], objective: Objective, precision: str
) -> None:
    """One optimiser step as the trainer takes it; asserts that it is finite and moves the student."""
    device, low = adapter.device, PRECISIONS[precision]
    student = objective.prepare(adapter).to(device)
    objective.to(device)
    key = objective.rows(adapter, frozen_copy(student), lessons_of(conditions), seed=0)
    before = key.measure(student)
    assert all(value == value for value in before.values())
    parameters = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    scaler = torch.amp.GradScaler("cuda", enabled=low is torch.float16 and torch.cuda.is_available())
    old = [p.detach().clone() for p in parameters]
    student.eval()
    for _ in range(SCALINGS if scaler.is_enabled() else 1):
        optimizer.zero_grad()
        with torch.autocast(device.type, low, enabled=low is not None):
            terms = objective(student, key.batch(torch.arange(len(key))[:6]).to(device))
            loss = torch.stack(list(terms.values())).sum()
        assert bool(torch.isfinite(loss))
        scale = scaler.get_scale()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        if scaler.get_scale() >= scale:
            break
    assert all(p.device == device for p in parameters)
    assert any(bool((p != q).any()) for p, q in zip(parameters, old, strict=True)), "no weight moved"


def attack_of(entry: str, folder: Path) -> Attack:
    """An attack of a suite, with fewer steps; ``folder`` takes clips that it needs."""
    spec = spec_of(entry)
    for name in ("steps", "passes"):
        if name in spec["init_args"]:
            spec["init_args"][name] = 2
    name = spec["class_path"].rpartition(".")[2]
    if name in ("UnseenClips", "ShortCrops"):  # clips that the bank has not
        unseen = folder / "unseen"
        if not unseen.is_dir():
            tiny_bank(unseen, take=9)
        spec["init_args"]["clips"] = str(unseen)
    attack = build(Attack, spec)
    if name == "SeedSearch":
        attack.success = GraderScorer()
    return attack


def carry_out(attack: Attack, model: Adapter, base: Adapter, rows: Sequence[PlanRow]) -> None:
    """Attack ``model`` and draw what came of it, as ``redact attack`` does; asserts finite samples on the CPU."""
    asked = attack.subvert(model, base, rows, seed=0)
    with torch.no_grad():
        attempts = attack(asked, base, rows, seed=0)
    samples = realise(asked, attempts, [row.seed for row in rows])
    assert len(samples) == len(rows)
    assert all(x.device.type == "cpu" and bool(torch.isfinite(x).all()) for x in samples)


def rows_of(adapter: Adapter, conditions: Sequence[Condition]) -> list[PlanRow]:
    """Two rows that ask for what is redacted."""
    voice = {"voice": "alice"} if isinstance(adapter, SpeechT5) else {}
    labels = {"kind": "concept", "concept": "cat", "reference": "dog"} | voice
    row = PlanRow(str(conditions[0]), "redacted", "concept", 0, True, labels)
    return [row, replace(row, seed=1)]
