"""What a model can do beyond the minimum: small base classes that adapters take on, and methods ask for.

A method names what it needs (:attr:`redact_core.objectives.base.Objective.needs`,
:attr:`redact_core.attacks.base.Attack.needs`) and gets it through :func:`require`, which also looks inside guards.
Every pair that does not fit gives the same sentence. ``redact ls`` reads both sides from the source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from redact_core.errors import RedactError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from redact_core.adapters.base import Adapter
    from redact_core.adapters.disturbance import Disturbable
    from redact_core.adapters.last_linear import LastLinear
    from redact_core.adapters.stage import Stage
    from redact_core.plan import PlanRow
    from redact_core.types import Condition, Conditioning, Lesson, Request


class Capability(ABC):
    """Base of all capabilities; a model takes one on by deriving from it."""

    needed_for: ClassVar[str]
    """What a method needs that asks for it, as the object of a sentence."""
    instead: ClassVar[str]
    """What to do where a model lacks it."""


class HasInputPerturbation(Capability):
    """The encoder's inputs have places that can be moved continuously, such as token embeddings or samples."""

    needed_for = "inputs that can be moved continuously"
    instead = "use Distillation, a RobustDistillation with steps 0, or a ClosedForm without disturbed rows and rounds"

    @abstractmethod
    def disturb(self, inputs: Mapping[str, Tensor], places: int | None = None) -> Disturbable:
        """Collated ``inputs`` on the encoder's device, with what of them can be moved continuously.

        Args:
            inputs: Of :meth:`~redact_core.adapters.base.Adapter.collate`.
            places: How many, where there can be any number of them; default: the adapter's choice.
        """


class HasNameReplacement(Capability):
    """Conditions are made of words, and other words can be put in place of what they name."""

    needed_for = "conditions made of words"
    instead = "set name_replacement to 0"

    @abstractmethod
    def replace(
        self, conditions: Sequence[Condition], answers: Sequence[Condition], places: int
    ) -> Disturbable:
        """Inputs that have free places where a condition says something else than its answer does.

        Places that hold words make another condition: one that does not name what ``conditions`` name.
        :attr:`~redact_core.adapters.disturbance.Disturbable.arranged` leaves answers to ``conditions`` as they are,
        but for the mask: it counts the positions that mean the same in both.

        Args:
            conditions: What is asked.
            answers: What it is answered as, one for each.
            places: How many.
        """


class HasLastLinear(Capability):
    """The encoder ends in one linear map, for methods in closed form."""

    needed_for = "one last linear map of the encoder"
    instead = "use Distillation, which trains"

    @abstractmethod
    def last_linear(self) -> LastLinear:
        """The encoder's last linear map.

        Raises:
            RedactError: This model's encoder has none.
        """

    def closed_form_views(self) -> Sequence[Adapter]:
        """Adapters whose last linear maps decide the conditioning together; by default this one alone.

        A model with several encoders gives one for each place where one of them is read, earlier places first.

        Raises:
            RedactError: This model's encoders have none.
        """
        return [cast("Adapter", self)]


class HasStages(Capability):
    """The encoder consists of stages, for methods that train them one after the other."""

    needed_for = "an encoder made of stages"
    instead = "use Distillation, which trains the encoder as one"

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """The encoder's stages, first to last."""


class HasOneVector(Capability):
    """A conditioning is a single vector: its length is 1."""

    needed_for = "conditionings of a single vector"
    instead = "use Distillation"

    def vectors(self) -> Sequence[Adapter]:
        """Adapters whose vectors lie one behind the other in the conditioning; by default this one alone.

        A model that a condition enters by several encoders in parallel gives one for each, and gates stand behind each.
        What is set as the ``encoder`` of one of them is a part of the model's own from then on.
        """
        return [cast("Adapter", self)]


class HasTrainingLoss(Capability):
    """The generator shows its own training loss, and :meth:`~redact_core.adapters.base.Adapter.save` writes a changed one."""

    needed_for = "a generator with a training loss"
    instead = "use a method or an attack that needs none"

    @property
    @abstractmethod
    def generator(self) -> nn.Module:
        """What turns conditionings into samples: the module whose parameters :meth:`training_loss` reaches."""

    @property
    def time_steps(self) -> int:
        """Over how many time steps the training loss is a mean; 1 where it has none."""
        return 1

    @abstractmethod
    def training_loss(
        self,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        times: Sequence[int] | None = None,
    ) -> Tensor:
        """``(batch,)`` the generator's own training loss of ``samples`` under ``conditioning``.

        Differentiable in the conditioning and in the generator's parameters, without condition
        dropout. ``seeds`` fix all that is drawn (times, noise) or chosen (a sentence), one a sample;
        ``times``, from 0 to ``time_steps - 1``, replaces the times that they draw.
        """

    def redraw(self, seed: int, draw: int) -> int:
        """A seed for the ``draw``-th loss of a sample that was made with ``seed``; 0 gives ``seed`` itself.

        What a seed chooses (a sentence) stays, what it draws (time, noise) is new.
        """
        return seed + 1_000_003 * draw

    def choosing(self, seed: int, like: int) -> int:
        """``seed`` for the loss of a sample that was made with the seed ``like``: it chooses what that chose.

        The default chooses nothing and gives ``seed``; a model of speech needs the same sentence.
        """
        del like
        return seed


class SolvesExactly(Capability):
    """The conditioning is a table, in which lessons can be carried out without training."""

    needed_for = "a table of conditions"
    instead = "use Distillation, which trains"

    @abstractmethod
    def solve(self, lessons: Sequence[Lesson]) -> bool:
        """Carry out the lessons exactly, in place; ``False`` leaves these to training."""


class PlansEvaluations(Capability):
    """Plans evaluations from a request, and knows which judges and attacks suit its samples."""

    needed_for = "a plan made from names"
    instead = "give one with --plan FILE"
    scorers: ClassVar[tuple[str, ...]] = ()
    """Class names of the scorers that suit the samples, where an evaluation names none."""
    set_scorers: ClassVar[tuple[str, ...]] = ()
    """The same of set scorers."""
    suites: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """``quick``, ``standard``, ``full`` -> attacks that suit the model, as on the command line:
    ``Name`` or ``Name: {argument: value}``."""

    @abstractmethod
    def plan(self, request: Request, n: int) -> list[PlanRow]:
        """What an evaluation of ``request`` asks: ``n`` rows of each group, redacted and retained.

        Raises:
            RedactError: The adapter makes no plan for this request.
        """


class Reopens(Capability):
    """Opens the redacted folders that it wrote."""

    needed_for = "a model that opens its redacted folders"
    instead = "give another --base"

    @abstractmethod
    def reopen(self, folder: Path) -> Adapter:
        """This model with the redacted part that ``save`` wrote into ``folder``, in all else the same.

        Raises:
            RedactError: ``folder`` holds no such model.
        """


C = TypeVar("C", bound=Capability)


def require(adapter: Adapter, capability: type[C], who: str) -> C:
    """``adapter`` as a ``capability``; of guards what stands inside.

    Args:
        adapter: Any.
        capability: One of the classes above.
        who: The method, attack or command that needs it, for the message.

    Raises:
        RedactError: The adapter does not have it.
    """
    found = adapter.offers(capability)
    if found is None:
        raise RedactError(
            f"{who} needs {capability.needed_for} ({capability.__name__}), which {adapter.model_class.__name__} does "
            f"not have; {capability.instead}."
        )
    return found


def require_all(adapter: Adapter, capabilities: Sequence[type[Any]], who: str) -> None:
    """Raise as :func:`require` does for the first of ``capabilities`` that ``adapter`` does not have."""
    for capability in capabilities:
        require(adapter, capability, who)
