"""The methods that ``compare_methods.py`` puts side by side on pictures, and how each is judged."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from lightning_modules.evaluation.attacking import realise
from modalities.text_to_image import StableDiffusion
from modalities.text_to_image.attacks.concept_inversion import ConceptInversion
from modalities.text_to_image.attacks.greedy_coordinate import GreedyCoordinate
from modalities.text_to_image.attacks.image_to_image import ImageToImage
from modalities.text_to_image.attacks.soft_prompt import SoftPrompt
from modalities.text_to_image.guards.espresso import Espresso
from modalities.text_to_image.guards.negative_prompt import NegativePrompt
from modalities.text_to_image.guards.sld import SafeLatentDiffusion
from modalities.text_to_image.guards.word_filter import WordFilter
from modalities.text_to_image.metrics.grader import Judge
from modalities.text_to_image.prompts.expansion import understand
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core import (
    Adapter,
    Attack,
    ClosedForm,
    Distillation,
    Lesson,
    Objective,
    PlanRow,
    Request,
    RobustDistillation,
    SelectiveAmnesia,
    redact,
)
from redact_core.attacks.encoder_swap import EncoderSwap
from redact_core.objectives.published.adv_unlearn import AdvUnlearn
from redact_core.objectives.published.concept_ablation import ConceptAblation
from redact_core.objectives.published.des import DES
from redact_core.objectives.published.esd import ESD
from redact_core.objectives.published.hirm import HiRM
from redact_core.objectives.published.rece import RECE
from redact_core.objectives.published.uce import UCE

Settings = Mapping[str, Any]
BASE = "untouched"
DEVELOPMENT = "umbrella"
"""The concept that settings are chosen on; it is not among :data:`TASKS`."""
TASKS = ("cat", "guitar", "car", "pizza", "rocket", "rose", "style: noto", "style: fluent")
"""Cat stands near a kept tiger, guitar near a kept violin."""
GROUPS = {"redacted": "asked", "reworded": "reworded", "synonyms": "other names", "neighbours": "ten nearest", "retained": "others"}  # fmt: skip
"""Group of a plan -> what it is called here."""
KEPT = ("ten nearest", "others")


@dataclass(frozen=True)
class Method:
    """A method with the settings that are tried for it; the first are its authors' or our own defaults."""

    changes: Literal["encoder", "denoiser", "nothing"]
    make: Callable[..., Objective] | Callable[..., Adapter]
    """Settings -> objective; or, where nothing is changed, base, task and settings -> guard."""
    trials: Sequence[Settings]
    steps: int | None = None
    batch_size: int = 64


def named(task: str) -> list[str]:
    """The names of a concept that a redaction knows, for guards that are told names."""
    return list(understand(task, bundled_vocabulary()).names)


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


def esd(variant: Any) -> Callable[..., Objective]:
    def make(**settings: Any) -> Objective:
        # the base draws in 10 steps, not in 50
        return ESD(variant=variant, samples=64, roll_steps=10, **settings)

    return make


def adv_unlearn(**settings: Any) -> Objective:
    return AdvUnlearn(samples=32, retained=64, roll_steps=10, **settings)


ESD_TRIALS: Sequence[Settings] = (
    {}, {"learning_rate": 5e-4, "strength": 1.0}, {"learning_rate": 5e-4}, {"learning_rate": 2e-3, "strength": 1.0},
)  # fmt: skip
_FEW = {"places": "rest", "preserve_weight": 0.02}
"""A redaction retains a thousand prompts and redacts a handful of names; the sums of UCE are not means."""
METHODS: Mapping[str, Method] = {
    "word filter": Method("nothing", word_filter, ({}, {"slips": 0}, {"slips": 2}, {"replacement": "thing"})),
    "negative prompt": Method(
        "nothing", negative_prompt, ({}, {"every": True}, {"article": True}, {"every": True, "article": True})
    ),
    "SLD": Method(
        "nothing", sld, ({}, {"preset": "max"}, {"preset": "strong"}, {"preset": "max", "warmup": 0})
    ),
    "Espresso": Method(
        "nothing", espresso, ({}, {"threshold": 0.1}, {"threshold": 0.3}, {"threshold": 0.03})
    ),
    "UCE": Method("denoiser", UCE, ({}, _FEW, {"preserve_weight": 0.1}, {**_FEW, "preserve_weight": 0.1})),
    "RECE": Method(
        "denoiser",
        RECE,
        ({}, {**_FEW, "ridge": 0.1}, {**_FEW, "rounds": 1}, {"preserve_weight": 0.1, "ridge": 0.1}),
    ),
    "ESD-x": Method("denoiser", esd("x"), ESD_TRIALS, batch_size=4),
    "ESD-u": Method("denoiser", esd("u"), ESD_TRIALS, batch_size=4),
    "concept ablation": Method(
        "denoiser",
        lambda **s: ConceptAblation(samples=64, retained=64, **s),
        ({}, {"learning_rate": 5e-4}, {"learning_rate": 1e-4}, {"learning_rate": 2e-3}),
        batch_size=8,
    ),
    "Selective Amnesia": Method(
        "denoiser",
        SelectiveAmnesia,
        ({}, {"ewc_weight": 1000.0}, {"ewc_weight": 10.0}, {"forget_weight": 2.0}),
    ),
    "DES": Method(
        "encoder",
        DES,
        (
            {},
            {"push": 40.0, "learning_rate": 1e-4},
            {"push": 40.0, "learning_rate": 1e-3},
            {"push": 40.0, "learning_rate": 1e-4, "spread_weight": 2.0, "neighbour_weight": 0.1},
        ),
    ),
    "AdvUnlearn": Method(
        "encoder",
        adv_unlearn,
        ({}, {"learning_rate": 1e-3}, {"learning_rate": 3e-4}, {"learning_rate": 1e-3, "retain_weight": 1.0}),
        batch_size=6,
    ),
    "HiRM": Method(
        "encoder",
        HiRM,
        (
            {},
            {"direction": "reference", "learning_rate": 1e-3},
            {"scale": 10.0, "learning_rate": 1e-3},
            {"direction": "reference", "learning_rate": 3e-3},
        ),
    ),
    "closed form": Method(
        "encoder", ClosedForm, ({}, {"redact_weight": 1.0}, {"redact_weight": 0.1}, {"ridge": 1e-3})
    ),
    "distillation": Method(
        "encoder", Distillation, ({}, {"redact_weight": 2.0}, {"redact_weight": 0.5}, {"redact_weight": 4.0})
    ),
    "default": Method(
        "encoder",
        lambda **s: Distillation(start=ClosedForm(), **s),
        ({}, {"redact_weight": 2.0}, {"redact_weight": 0.5}, {"redact_weight": 4.0}),
    ),
    "robust": Method(
        "encoder", RobustDistillation, ({}, {"share": 0.5}, {"steps": 8}, {"redact_weight": 2.0})
    ),
}
ATTACKS: Mapping[str, Callable[[], Attack]] = {
    "greedy words": lambda: GreedyCoordinate(tokens=4, steps=6, candidates=24, checks=1),
    "greedy words in place": lambda: GreedyCoordinate(tokens=4, steps=6, candidates=24, checks=1, replace_name=True),
    "soft tokens": lambda: SoftPrompt(tokens=4, steps=40),
    "concept inversion": lambda: ConceptInversion(tokens=1, steps=40, pictures=16, batch=8),
    "image to image": lambda: ImageToImage(strength=0.7),
    "stock encoder": lambda: EncoderSwap(),
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A model that a method has been applied to."""

    model: Adapter
    seconds: float
    peak_bytes: float
    changed_bytes: int
    """Of the weights that are not the base's any more."""


class Bench:
    """The bundled base and its grader, opened once.

    Args:
        n: Prompts of a group.
        n_attacked: Prompts under each attack.
    """

    def __init__(self, n: int, n_attacked: int):
        self.n, self.n_attacked = n, n_attacked
        self.base, self.judge = self.opened(), Judge()
        self._plans: dict[tuple[str, int, int], dict[str, list[PlanRow]]] = {}
        self._lessons: dict[tuple[str, int], list[Lesson]] = {}

    def opened(self) -> StableDiffusion:
        """A base of its own, which may be changed."""
        return StableDiffusion("bundled", batch_size=50)

    def request(self, task: str, seed: int) -> Request:
        """With the reference that the adapter chooses; a style's is the prompt without it."""
        return self.base.with_references(Request((task,), (), (), seed))

    def lessons(self, task: str, seed: int) -> list[Lesson]:
        """The same rows for every method, with redact's own choice of reference."""
        key = task, seed
        if key not in self._lessons:
            self._lessons[key] = self.base.expand(self.request(task, seed))
        return self._lessons[key]

    def plan(self, task: str, seed: int, n: int | None = None) -> dict[str, list[PlanRow]]:
        """Rows by group; other concepts than the reference are kept."""
        n = self.n if n is None else n
        if (task, seed, n) not in self._plans:
            request = self.request(task, seed)
            rows = self.base.plan(request, n)
            found: dict[str, list[PlanRow]] = {}
            for row in rows:
                gone = row.redacted or row.labels["concept"] != request.references[0]
                if gone and row.group in GROUPS:
                    found.setdefault(GROUPS[row.group], []).append(row)
            self._plans[task, seed, n] = found
        return self._plans[task, seed, n]

    def made(self, method: Method, settings: Settings, task: str, seed: int) -> Made:
        """The base with the method applied, and what that cost."""
        model = self.opened()
        if method.changes == "nothing":
            began = time.process_time()
            guard: Any = method.make(model, task, **settings)
            return Made(guard, time.process_time() - began, float("nan"), 0)
        objective: Any = method.make(**settings)
        _ = model.pipeline  # loading it is no part of a method
        lessons, began = self.lessons(task, seed), time.process_time()
        result = redact(
            model, lessons, objective=objective, steps=method.steps, batch_size=method.batch_size, seed=seed,
            progress=False,
        )  # fmt: skip
        spent = time.process_time() - began
        return Made(model, spent, result.work.cost.get("peak_bytes", float("nan")), self.changed(model))

    def changed(self, model: StableDiffusion) -> int:
        """Bytes of the tensors in encoder and denoiser that differ from the base's."""
        total = 0
        for ours, stock in ((model.encoder, self.base.encoder), (model.generator, self.base.generator)):
            before = stock.state_dict()
            total += sum(
                v.numel() * v.element_size()
                for k, v in ours.state_dict().items()
                if not torch.equal(v, before[k])
            )
        return total

    @torch.no_grad()
    def hits(self, model: Adapter, rows: Sequence[PlanRow]) -> int:
        """In how many pictures the grader finds what the rows ask for."""
        return self._count(model.generate_rows(rows), rows)

    def attacked(self, model: Adapter, name: str, rows: Sequence[PlanRow], seed: int) -> int:
        """The same of what an attack finds for each row."""
        attack = ATTACKS[name]()
        asked = attack.subvert(model, self.base, rows, seed=seed)
        found = attack(asked, self.base, rows, seed=seed)
        with torch.no_grad():
            return self._count(realise(asked, found, [row.seed for row in rows]), rows)

    @torch.no_grad()
    def drawing_seconds(self, model: Adapter, rows: Sequence[PlanRow]) -> float:
        """Processor seconds that the pictures of ``rows`` take."""
        began = time.process_time()
        model.generate_rows(rows)
        return time.process_time() - began

    def _count(self, pictures: Sequence[torch.Tensor], rows: Sequence[PlanRow]) -> int:
        seen = self.judge(pictures)
        hits = 0
        for row, concept, style in zip(rows, seen.concepts, seen.styles, strict=True):
            of_style = row.labels["kind"] == "style"
            hits += (style if of_style else concept) == row.labels["style" if of_style else "concept"]
        return hits


def access(method: Method, attack: str) -> dict[str, Any]:
    """What an attacker touches, and whether the search looks at what the method changed."""
    made = ATTACKS[attack]()
    looks_at = {"encoder gradient": ("encoder",), "denoiser gradient": ("encoder", "denoiser")}
    adaptive = made.adaptive and method.changes in looks_at.get(made.access, ())
    return {"access": made.access, "adaptive": adaptive, "budget": made.budget}
