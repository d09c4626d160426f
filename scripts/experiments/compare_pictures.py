"""The methods that ``compare_methods.py`` puts side by side on pictures, with the settings that are tried for each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_modules.comparison.bench import Bench
from lightning_modules.comparison.methods import Method, Settings
from modalities.text_to_image import RobustPrompts, StableDiffusion
from modalities.text_to_image.attacks.concept_inversion import ConceptInversion
from modalities.text_to_image.attacks.greedy_coordinate import GreedyCoordinate
from modalities.text_to_image.attacks.image_to_image import ImageToImage
from modalities.text_to_image.attacks.pez import PEZ
from modalities.text_to_image.attacks.soft_prompt import SoftPrompt
from modalities.text_to_image.attacks.square_words import SquareWords
from modalities.text_to_image.attacks.unlearn_diff import UnlearnDiffAtk
from modalities.text_to_image.guards.dual_latent import DualLatent
from modalities.text_to_image.guards.espresso import Espresso
from modalities.text_to_image.guards.negative_prompt import NegativePrompt
from modalities.text_to_image.guards.sld import SafeLatentDiffusion
from modalities.text_to_image.guards.word_filter import WordFilter
from modalities.text_to_image.metrics.feature_distances import GraderFeatureDistances
from modalities.text_to_image.metrics.grader_scorer import GraderScorer
from modalities.text_to_image.prompts.expansion import understand
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core import (
    Adapter,
    Attack,
    ClosedForm,
    Distillation,
    Objective,
    Request,
    RobustAmnesia,
    RobustDistillation,
    SelectiveAmnesia,
)
from redact_core.attacks.chain import Chain
from redact_core.attacks.encoder_swap import EncoderSwap
from redact_core.attacks.relearning import Relearning
from redact_core.gates import UnitGating
from redact_core.objectives.published.adv_unlearn import AdvUnlearn
from redact_core.objectives.published.concept_ablation import ConceptAblation
from redact_core.objectives.published.des import DES
from redact_core.objectives.published.esd import ESD
from redact_core.objectives.published.hirm import HiRM
from redact_core.objectives.published.rece import RECE
from redact_core.objectives.published.uce import UCE

DEVELOPMENT = "umbrella"
"""The concept that settings are chosen on; it is not among :data:`TASKS`."""
TASKS = (
    "sandwich", "octopus", "scissors", "guitar", "american football", "fire", "style: noto", "style: fluent",
)  # fmt: skip
"""The first six concepts that chance_concepts.py draws with seed 0, and two styles."""
GROUPS = ("redacted", "reworded", "synonyms", "neighbours", "retained")


def named(task: str) -> list[str]:
    """The names of a concept that a redaction knows, for guards that are told names."""
    return list(understand(task, bundled_vocabulary()).names)


def reference_of(base: StableDiffusion, task: str) -> str:
    """What the model chooses to draw instead."""
    return base.with_references(Request((task,))).references[0]


def negative_prompt(base: Adapter, task: str, every: bool = False, article: bool = False) -> Adapter:
    names = named(task) if every else named(task)[:1]
    return NegativePrompt(base, [f"a {name}" if article else name for name in names])


def word_filter(base: Adapter, task: str, **settings: Any) -> Adapter:
    own = {*named(task)}
    neighbours = [name for name in bundled_vocabulary().concepts if name not in own]
    return WordFilter(base, named(task), allowed=neighbours, **settings)


def sld(base: Adapter, task: str, preset: Any = "medium", **settings: Any) -> Adapter:
    return SafeLatentDiffusion(base, named(task)[:1], preset=preset, **settings)


def espresso(base: Adapter, task: str, threshold: float = 0.5) -> Adapter:
    own = {*named(task)}
    others = [f"a {name}" for name in bundled_vocabulary().concepts if name not in own]
    return Espresso(base, [f"a {named(task)[0]}"], others, threshold=threshold)


def dual_latent(base: StableDiffusion, task: str, weight: float = 0.5, **settings: Any) -> Adapter:
    names = named(task)
    return DualLatent(base, rewrite=dict.fromkeys(names, reference_of(base, task)), weight=weight, **settings)


def esd(variant: Any) -> Callable[..., Objective]:
    def make(**settings: Any) -> Objective:
        # the base draws in 10 steps, not in 50
        return ESD(variant=variant, samples=64, roll_steps=10, **settings)

    return make


_AMNESIA: Mapping[str, Any] = {
    "parameters": "attn2", "surrogates": 96, "replays": 256, "replay_weight": 2.0, "ewc_weight": 0.01,
    "fisher_samples": 24, "fisher_times": 12, "learning_rate": 1e-3,
}  # fmt: skip


def amnesia(**settings: Any) -> Objective:
    # those of configs/text_to_image/selective_amnesia.yaml but for ewc_weight, which is tried: the class's own visit each of
    # a thousand time steps
    return SelectiveAmnesia(**{**_AMNESIA, **settings})


def robust_amnesia(**settings: Any) -> Objective:
    return RobustAmnesia(**{**_AMNESIA, **settings})


def adv_unlearn(**settings: Any) -> Objective:
    # a fifth of the authors' steps, and of their warm-up; their rate is for 1000
    return AdvUnlearn(samples=32, retained=64, roll_steps=10, warmup=40, **settings)


ESD_TRIALS: Sequence[Settings] = (
    {}, {"learning_rate": 5e-4, "strength": 1.0}, {"learning_rate": 5e-4}, {"learning_rate": 2e-3, "strength": 1.0},
)  # fmt: skip
_FEW = {"places": "rest", "preserve_weight": 0.02}
"""A redaction retains a thousand prompts and redacts a handful of names; the sums of UCE are not means."""
METHODS: dict[str, Method] = {
    "word filter": Method(
        word_filter, ({}, {"slips": 0}, {"slips": 2}, {"replacement": "thing"}), guard=True
    ),
    "negative prompt": Method(
        negative_prompt,
        ({}, {"every": True}, {"article": True}, {"every": True, "article": True}),
        guard=True,
    ),
    "SLD": Method(
        sld, ({}, {"preset": "max"}, {"preset": "strong"}, {"preset": "max", "warmup": 0}), guard=True
    ),
    "Espresso": Method(
        espresso, ({}, {"threshold": 0.1}, {"threshold": 0.3}, {"threshold": 0.03}), guard=True
    ),
    "dual latent": Method(dual_latent, ({}, {"weight": 0.9}, {"weight": 0.75}, {"weight": 0.3}), guard=True),
    "UCE": Method(UCE, ({}, _FEW, {"preserve_weight": 0.1}, {**_FEW, "preserve_weight": 0.1})),
    "RECE": Method(
        RECE,
        ({}, {**_FEW, "ridge": 0.1}, {**_FEW, "rounds": 1}, {"preserve_weight": 0.1, "ridge": 0.1}),
    ),
    "ESD-x": Method(esd("x"), ESD_TRIALS, batch_size=4),
    "ESD-u": Method(esd("u"), ESD_TRIALS, batch_size=4),
    "concept ablation": Method(
        lambda **s: ConceptAblation(samples=64, retained=64, **s),
        ({}, {"learning_rate": 5e-4}, {"learning_rate": 1e-4}, {"learning_rate": 2e-3}),
        batch_size=8,
    ),
    "Selective Amnesia": Method(
        amnesia,
        ({}, {"ewc_weight": 0.1}, {"ewc_weight": 0.001}, {"learning_rate": 3e-4}),
        steps=150,
        batch_size=24,
    ),
    "robust amnesia": Method(
        robust_amnesia,
        ({"ewc_weight": 0.1}, {}, {"ewc_weight": 0.1, "searched": 12}, {"ewc_weight": 0.1, "life": 24}),
        steps=150,
        batch_size=24,
    ),
    "DES": Method(
        DES,
        (
            {},
            {"push": 40.0, "learning_rate": 1e-4},
            {"push": 40.0, "learning_rate": 1e-3},
            {"push": 40.0, "learning_rate": 1e-4, "spread_weight": 2.0, "neighbour_weight": 0.1},
        ),
    ),
    "AdvUnlearn": Method(
        adv_unlearn,
        (
            {"learning_rate": 3e-4},
            {"learning_rate": 1e-3},
            {},
            {"learning_rate": 1e-3, "retain_weight": 1.0},
        ),
        steps=200,
        batch_size=6,
    ),
    "HiRM": Method(
        HiRM,
        (
            {},
            {"direction": "reference", "learning_rate": 1e-3},
            {"scale": 10.0, "learning_rate": 1e-3},
            {"direction": "reference", "learning_rate": 3e-3},
        ),
    ),
    "closed form": Method(ClosedForm, ({}, {"redact_weight": 1.0}, {"redact_weight": 0.1}, {"ridge": 1e-3})),
    "closed form, as asked": Method(
        lambda **s: ClosedForm(disturbed=0, **s),
        ({}, {"redact_weight": 1.0}, {"redact_weight": 0.1}, {"ridge": 1e-3}),
    ),
    "distillation": Method(
        Distillation, ({}, {"redact_weight": 2.0}, {"redact_weight": 0.5}, {"redact_weight": 4.0})
    ),
    "default": Method(
        lambda **s: Distillation(start=ClosedForm(), **s),
        ({}, {"redact_weight": 2.0}, {"redact_weight": 0.5}, {"redact_weight": 4.0}),
    ),
    "implicit synonyms": Method(
        lambda **s: Distillation(start=ClosedForm(), **s),
        ({}, {"redact_weight": 2.0}, {"redact_weight": 0.5}, {"redact_weight": 4.0}),
        base={"implicit_synonyms": 200},
    ),
    "gating units": Method(UnitGating, ({}, {"radius": 0.3}, {"rounds": 20}, {"mixed": 0.25})),
    "robust": Method(
        RobustPrompts, ({}, {"retained_share": 0.25}, {"radius": 1.0}, {"steps": 8}), batch_size=32
    ),
    "robust, class defaults": Method(
        RobustDistillation, ({}, {"share": 0.5}, {"steps": 8}, {"redact_weight": 2.0})
    ),
}
METHODS |= {
    # what changes the generator comes first: it asks the stock encoder what the names mean
    "ESD-x and closed form": Method(lambda **s: [esd("x")(**s), ClosedForm()], ESD_TRIALS, batch_size=4),
    "Selective Amnesia and robust": Method(
        lambda **s: [amnesia(**s), RobustPrompts()],
        ({"ewc_weight": 0.1}, {}, {"ewc_weight": 0.001}, {"learning_rate": 3e-4}),
        batch_size=32,
    ),
    "robust amnesia and robust": Method(
        lambda **s: [robust_amnesia(**s), RobustPrompts()],
        ({"ewc_weight": 0.1}, {}, {"ewc_weight": 0.1, "searched": 12}, {"ewc_weight": 0.1, "life": 24}),
        batch_size=32,
    ),
    "UCE and robust": Method(
        lambda **s: [UCE(**(_FEW | s)), RobustPrompts()],
        ({}, {"preserve_weight": 0.1}, {"preserve_weight": 0.005}, {"keep_weight": 0.05}),
        batch_size=32,
    ),
    "UCE and gating units": Method(
        lambda **s: [UCE(**(_FEW | s)), UnitGating()],
        ({}, {"preserve_weight": 0.1}, {"preserve_weight": 0.005}, {"keep_weight": 0.05}),
    ),
}  # fmt: skip
ATTACKS: Mapping[str, Callable[[], Attack]] = {
    "greedy words": lambda: GreedyCoordinate(tokens=4, steps=6, candidates=24, checks=1),
    "greedy words in place": lambda: GreedyCoordinate(tokens=4, steps=6, candidates=24, checks=1, replace_name=True),
    "PEZ words": lambda: PEZ(tokens=8, steps=60, checks=3),
    "PEZ words in place": lambda: PEZ(tokens=8, steps=60, checks=3, replace_name=True),
    "words without gradients in place": lambda: SquareWords(tokens=8, steps=300, checks=3, replace_name=True),
    "UnlearnDiffAtk": lambda: UnlearnDiffAtk(tokens=8, steps=40, checks=4),
    "soft tokens": lambda: SoftPrompt(tokens=4, steps=40),
    "concept inversion": lambda: ConceptInversion(tokens=1, steps=40, pictures=16, batch=8),
    "concept inversion, longer": lambda: ConceptInversion(tokens=4, steps=200, pictures=32, batch=8),
    "image to image": lambda: ImageToImage(strength=0.7),
    "stock encoder": lambda: EncoderSwap(),
    "relearning": lambda: Relearning(part="both", steps=50),
    # whoever has the folder puts the public encoder back before the rest
    "stock encoder, then concept inversion": lambda: Chain(ConceptInversion(tokens=1, steps=40, pictures=16, batch=8)),
    "stock encoder, then relearning": lambda: Chain(Relearning(part="both", steps=50)),
}  # fmt: skip


def bench(n: int, n_attacked: int, models: Path, attacks: Sequence[str], device: str = "cpu") -> Bench:
    """The bundled base with its grader."""

    def opened(**settings: Any) -> StableDiffusion:
        return StableDiffusion("bundled", batch_size=50, **settings).to(device)

    scorer = GraderScorer()
    scorer.judge.grader.to(device)
    return Bench(
        opened, scorer, lambda task, seed: Request((task,), seed=seed), {name: ATTACKS[name] for name in attacks},
        n=n, n_attacked=n_attacked, models=models, groups=GROUPS, set_scorer=GraderFeatureDistances(),
    )  # fmt: skip
