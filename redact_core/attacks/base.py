"""The seam for attacks: an attack finds a way to a redacted condition, and says what it had to touch.

Settings in the constructor, the problem in the call, as for scorers; one class in one file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import Capability, require_all
from redact_core.errors import RedactError
from redact_core.metrics.scorer import Scorer
from redact_core.plan import PlanRow
from redact_core.support.whole_numbers import WholeNumbers
from redact_core.types import Condition, Conditioning

Access = Literal["prompt", "encoder gradient", "denoiser gradient", "sample", "weights"]
"""What the attacker may touch: conditions and samples; gradients of the conditioner; gradients of the
generator; the sampling process; or everything, to change it."""


@dataclass(frozen=True)
class Attempt:
    """What an attack found for one row: a condition, or what stands in for it further down.

    Exactly one of ``condition``, ``conditioning`` and ``sample`` is given.
    """

    condition: Condition | None = None
    """To be asked as any user asks: a prompt, a voice id, or the path of a clip."""
    conditioning: Conditioning | None = None
    """A batch of one that goes around the conditioner, straight into the generator."""
    sample: Tensor | None = None
    """A finished sample, as :meth:`Adapter.generate` returns one."""
    queries: int = 0
    """Samples drawn, or passes through the conditioner or the generator, whichever the attack counts."""
    losses: tuple[float, ...] = ()
    """What was searched for, step by step."""

    def __post_init__(self) -> None:
        if sum(x is not None for x in (self.condition, self.conditioning, self.sample)) != 1:
            raise RedactError("An Attempt holds one of condition, conditioning and sample; give one of them.")


class Attack(WholeNumbers, ABC):
    """Tries to bring back what ``rows`` ask for. Runs on the redacted model, and on the base as its ceiling.

    An attack that needs more of an adapter than the core knows (a tokenizer, a denoiser) says so
    with a :class:`RedactError` when it is called on another kind.
    """

    access: ClassVar[Access]
    adaptive: ClassVar[bool]
    """Whether the search looks at the attacked model; a static attack would find the same on any."""
    needs: ClassVar[tuple[type[Capability], ...]] = ()
    """Capabilities of a model without which the attack cannot run."""
    success: Scorer | None = None
    """What counts as success, for attacks that look at samples while they search (see :mod:`.success`);
    ``redact attack`` sets the first of its scorers that tells a leak, where an attack was given none."""

    def check(self, model: Adapter) -> None:
        """Refuse a model that the attack does not fit.

        Raises:
            RedactError: The model lacks one of :attr:`needs`; see :func:`~redact_core.adapters.capabilities.require`.
        """
        require_all(model, self.needs, type(self).__name__)

    @property
    def name(self) -> str:
        """Under which it is reported; settings that matter belong in it, e.g. ``Inversion-4``."""
        return type(self).__name__

    @property
    @abstractmethod
    def budget(self) -> str:
        """What it may spend on a row, for people: ``40 steps, 2 restarts``."""

    def subvert(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> Adapter:
        """The model that is asked. An attacker who has the weights returns a changed copy.

        ``model`` itself must be left as it is. Called once for each model with all rows, before any
        of them is attempted: also the place for a search whose result serves every row.
        """
        del base, rows, seed
        return model

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        """One attempt for each row, in order; by default the row's own condition.

        Args:
            model: What :meth:`subvert` returned.
            base: The untouched model, which everybody can download; the same object as ``model``
                where the ceiling is measured.
            rows: Redacted conditions with their labels, and the seeds that samples will have.
            seed: Of everything drawn at random.
        """
        del model, base, seed
        return [Attempt(condition=row.condition) for row in rows]


def check_declared(attack: Attack) -> None:
    """Refuse an attack that does not say what the attacker may use, before hours are spent on it.

    Raises:
        RedactError: :attr:`Attack.access` is missing or unknown, or :attr:`Attack.adaptive` is no truth value.
    """
    name, access, adaptive = (
        type(attack).__name__,
        getattr(attack, "access", None),
        getattr(attack, "adaptive", None),
    )
    if access not in get_args(Access):
        raise RedactError(f"{name}.access is {access!r}; give one of {', '.join(get_args(Access))}.")
    if not isinstance(adaptive, bool):
        raise RedactError(
            f"{name}.adaptive is {adaptive!r}; give True where the search looks at the attacked model, else False."
        )
