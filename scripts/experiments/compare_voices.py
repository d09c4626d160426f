"""The methods that ``compare_methods.py`` puts side by side on voices, with the settings that are tried for each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_modules.comparison.bench import Bench
from lightning_modules.comparison.methods import Method
from modalities.text_to_speech import SpeechT5, VoiceFilter
from modalities.text_to_speech.attacks.clip_gradient import ClipGradient
from modalities.text_to_speech.attacks.original_embedding import OriginalEmbedding
from modalities.text_to_speech.guards.clip_filter import ClipFilter
from modalities.text_to_speech.metrics.voice_scorer import VoiceScorer
from redact_core import Adapter, Attack, Distillation, Request, RobustDistillation, SelectiveAmnesia
from redact_core.attacks.encoder_swap import EncoderSwap
from redact_core.gates import Gating
from redact_core.objectives.published.fine_tuning import FineTuning
from redact_core.objectives.published.gradient_ascent import GradientAscent
from redact_core.objectives.published.tgu import TGU

DEVELOPMENT = "voice07"
"""The voice that settings are chosen on; it is not among :data:`TASKS`."""
TASKS = ("voice21", "voice12", "voice28")


def clip_filter(base: Adapter, voice: str, **settings: Any) -> Adapter:
    return ClipFilter(base, [voice], **settings)


def voice_filter(base: SpeechT5, voice: str, **settings: Any) -> Adapter:
    return VoiceFilter(base, [voice], [name for name in base.bank.voices if name != voice], **settings)


_SAMPLES = {"surrogates": 48, "replays": 144}
"""Speech that a method draws before it trains; drawing is most of the time."""
METHODS: Mapping[str, Method] = {
    "clip filter": Method(
        clip_filter, ({}, {"threshold": 0.5}, {"threshold": 0.7}, {"threshold": 0.4}), guard=True
    ),
    "voice filter": Method(
        voice_filter, ({}, {"threshold": 0.3}, {"threshold": 0.1}, {"threshold": 0.03}), guard=True
    ),
    "gate": Method(Gating, ({}, {"margin": 0.05}, {"margin": 0.1}, {"margin": 0.15})),
    "distillation": Method(
        Distillation, ({}, {"redact_weight": 2.0}, {"redact_weight": 0.5}, {"redact_weight": 4.0})
    ),
    "fine-tuning": Method(
        lambda **s: FineTuning(samples=144, **s),
        ({}, {"learning_rate": 3e-4}, {"learning_rate": 3e-5}, {"learning_rate": 1e-3}),
        steps=120, batch_size=8,
    ),
    "gradient ascent": Method(
        lambda **s: GradientAscent(samples=48, replays=144, **s),
        ({}, {"learning_rate": 1e-4}, {"learning_rate": 3e-5}, {"learning_rate": 3e-4}),
        steps=120, batch_size=8,
    ),
    "TGU": Method(
        lambda **s: TGU(**_SAMPLES, **s),
        ({}, {"learning_rate": 3e-4}, {"forget_weight": 2.0}, {"learning_rate": 3e-4, "replay_weight": 2.0}),
        steps=120, batch_size=8,
    ),
    "Selective Amnesia": Method(
        lambda **s: SelectiveAmnesia(**_SAMPLES, **({"fisher_samples": 48, "learning_rate": 3e-4, "ewc_weight": 1.0} | s)),
        ({"replay_weight": 2.0}, {}, {"learning_rate": 1e-4}, {"ewc_weight": 10.0}),
        steps=120, batch_size=8,
    ),
    "robust": Method(
        RobustDistillation, ({}, {"share": 0.5}, {"steps": 8}, {"redact_weight": 2.0})
    ),
}  # fmt: skip
ATTACKS: Mapping[str, Callable[[], Attack]] = {
    "disturbed clip, 30 dB": lambda: ClipGradient(snr=30.0),
    "disturbed clip, 20 dB": lambda: ClipGradient(snr=20.0, steps=100),
    "another's clip, 30 dB": lambda: ClipGradient(snr=30.0, carrier="other"),
    "original embedding": lambda: OriginalEmbedding(),
    "stock encoder": lambda: EncoderSwap(),
}


def bench(n: int, n_attacked: int, models: Path, attacks: Sequence[str], device: str = "cpu") -> Bench:
    """The bundled base with its verifier."""
    return Bench(
        lambda: SpeechT5("bundled").to(device), VoiceScorer(), lambda task, seed: Request((task,), seed=seed),
        {name: ATTACKS[name] for name in attacks}, n=n, n_attacked=n_attacked, models=models,
    )  # fmt: skip
