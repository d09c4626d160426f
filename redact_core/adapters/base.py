"""The only seam between the core and a modality."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from redact_core.adapters.samples import Sample, Samples
from redact_core.errors import RedactError
from redact_core.plan import PlanRow
from redact_core.support.devices import device_of, move
from redact_core.support.whole_numbers import WholeNumbers
from redact_core.types import Condition, Conditioning, Lesson, Request

if TYPE_CHECKING:
    from redact_core.objectives.base import Objective

T = TypeVar("T")
ROW_SETTINGS = ("guidance", "height", "width")
"""Labels of a plan's row that ask for another way of sampling than the adapter's."""
StepWatcher = Callable[[int, Mapping[str, float]], None]
"""Called after each step of a training, with its number from 0 and its loss terms."""


class Saves(Protocol):
    """A redaction that knows how to save the model that it was made on."""

    def save(
        self,
        folder: Path | str,
        *,
        disclosure: Literal["text", "digest", "count"] = "text",
        key: Path | None = None,
    ) -> Path:
        """Write the model with its card into the new ``folder``."""
        ...


@dataclass(frozen=True)
class Origin:
    """Where a model came from, for the card."""

    source: str
    """Hub id, folder name, or ``bundled``."""
    kind: str
    """The original library's class, e.g. ``StableDiffusionPipeline``."""
    revision: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    """Relative name -> local file, everything that :meth:`Adapter.save` copies or replaces."""
    kept: tuple[str, ...] = ()
    """Parts of the folder that a redaction leaves alone, where the model came from memory and has no files yet."""
    entries: frozenset[str] = frozenset()
    """Files of which each is a condition of its own, such as a stored voice: leaving one out is a redaction."""

    def __post_init__(self) -> None:
        """A folder may be given as a path; cards and evidence hold texts."""
        object.__setattr__(self, "source", str(self.source))

    def keeps(self, name: str) -> bool:
        """Whether the file ``name`` of the folder belongs to one of :attr:`kept`."""
        return name.partition("/")[0] in self.kept


class Adapter(WholeNumbers, ABC):
    """A conditional generator, seen through the module that reads its condition.

    ``encoder`` maps collated inputs to a :class:`Conditioning`. :meth:`generate` and :meth:`save`
    read it when they are called, so that replacing the attribute replaces the part.
    """

    encoder: nn.Module  # Mapping[str, Tensor] -> Conditioning
    variants: int = 1
    """How many augmented variants of a condition exist; 1 means none beyond the condition itself."""
    learning_rate: float = 1e-4
    """Peak learning rate that suits the encoder."""
    batch_size: int = 16
    """Samples generated at a time."""
    redaction: Saves | None = None
    """The last redaction of the model in memory, which :func:`redact_core.redact` leaves here."""
    remarks: tuple[str, ...] = ()
    """What the last :meth:`expand` did beyond what was asked for, in sentences that a person should read."""
    chosen_references: tuple[str, ...] = ()
    """What the last :meth:`expand` took as the reference of each entry of the request, and what its check found, for the
    card; empty: as they were named."""
    noted: ClassVar[frozenset[str]] = frozenset({"remarks", "chosen_references"})
    """Attributes in which the model notes something of a request: no settings, for another request leaves others."""
    lacks: ClassVar[tuple[type, ...]] = ()
    """Capabilities of the class it derives from that a model does not have after all."""

    @property
    @abstractmethod
    def origin(self) -> Origin:
        """Where the model came from."""

    @property
    def model_class(self) -> type[Adapter]:
        """Class of the model that stands below all guards."""
        return type(self)

    def offers(self, capability: type[T]) -> T | None:
        """The model as one of :mod:`redact_core.adapters.capabilities`, or ``None`` where it lacks that."""
        return self if isinstance(self, capability) and capability not in self.lacks else None

    @property
    def device(self) -> torch.device:
        """Where the encoder is; the generator follows it when it is used."""
        return device_of(self.encoder)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the encoder's weights."""
        parameter = next(self.encoder.parameters(), None)
        return torch.float32 if parameter is None else parameter.dtype

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the model, in place, as modules are moved.

        Args:
            device: For example ``cuda``; default: where it is.
            dtype: Of the encoder's weights, and of the generator's where the adapter supports it. For
                sampling only: :func:`~redact_core.redact` trains float32 weights. Default: as it is.

        Returns:
            The adapter itself.
        """
        move(self.encoder, device, dtype)
        return self

    def __call__(self, conditions: Condition | Sequence[Condition], *, seed: int | Sequence[int] = 0) -> Any:
        """Samples that can be looked at and saved; see :meth:`shown`.

        Args:
            conditions: One, or several.
            seed: One for all conditions, or one for each.

        Raises:
            RedactError: A condition cannot be read, or there is not one seed for each.
        """
        asked = [conditions] if isinstance(conditions, str | Path) else list(conditions)
        seeds = [seed] * len(asked) if isinstance(seed, int) else list(seed)
        check_seeds(len(asked), seeds)
        return self.shown(self.generate(asked, seeds=seeds))

    def shown(self, samples: Sequence[Tensor]) -> Any:
        """Samples of :meth:`generate` as people use them; by default an object whose ``samples`` have ``save``."""
        return Samples([Sample(values, self.write_sample) for values in samples])

    def save_pretrained(
        self,
        folder: Path | str,
        *,
        disclosure: Literal["text", "digest", "count"] = "text",
        key: Path | None = None,
    ) -> Path:
        """Save the redacted model as an ordinary folder of its own library, with the card.

        Args:
            folder: To be made.
            disclosure: What the card says about the redacted conditions: their ``text``, keyed ``digest`` values,
                or only their ``count``.
            key: File with the secret key of the digests, at least 16 bytes.

        Returns:
            The folder.

        Raises:
            RedactError: Nothing was redacted, the folder exists or cannot be written, or no weight was changed.
        """
        if self.redaction is None:
            raise RedactError(
                "Nothing has been redacted in this model, so there is nothing to save; call redact(model, ...) first."
            )
        return self.redaction.save(folder, disclosure=disclosure, key=key)

    def progress(self, steps: int) -> AbstractContextManager[StepWatcher]:
        """Shows how far a training of ``steps`` has come; by default nothing is shown."""
        del steps
        return nullcontext(_unwatched)

    @abstractmethod
    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """Inputs of the encoder, first dimension ``batch``, the same widths on every call.

        Raises :class:`~redact_core.errors.RedactError` for a condition that the encoder would cut
        or cannot read; the message names it.
        """

    def identity(self, condition: Condition) -> Hashable:
        """What makes ``condition`` the condition that it is: two with the same value are one to the encoder.

        Everything that compares conditions compares these, so that another spelling or another path of the same
        thing is not taken for another thing. By default what :meth:`collate` makes of it; the condition itself
        where it cannot be collated, for which :meth:`collate` has the message.
        """
        try:
            inputs = self.collate([condition])
        except RedactError:
            return str(condition)
        return tuple(
            (key, str(value.dtype), tuple(value.shape), _bytes(value)) for key, value in inputs.items()
        )

    def collated(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """:meth:`collate`, on the encoder's device."""
        return to_device_of(self.encoder, self.collate(conditions))

    def encode(self, conditions: Sequence[Condition]) -> Conditioning:
        """What the encoder says to ``conditions``, on the encoder's device; with gradients, unless they are off."""
        return self.encoder(self.collated(conditions))

    def conditioning_of(
        self, conditions: Sequence[Condition] | Conditioning, seeds: Sequence[int]
    ) -> Conditioning:
        """The conditions of :meth:`generate` as a conditioning, one row for each seed.

        Raises:
            RedactError: Their numbers differ.
        """
        conditioning = conditions if isinstance(conditions, Conditioning) else self.encode(conditions)
        check_seeds(len(conditioning), seeds)
        return conditioning

    @abstractmethod
    def expand(self, request: Request) -> list[Lesson]:
        """The rows that carry out ``request``: redacted ones in many wordings, and retained ones."""

    def augment(self, inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """One variant of collated ``inputs``; the default leaves them as they are."""
        del generator
        return dict(inputs)

    def default_steps(self) -> int:
        """Steps of a training where none are named."""
        return 300

    def default_objective(self) -> Objective | None:
        """The method that suits the model where none is named; ``None``: plain distillation."""
        return None

    def files(self) -> Mapping[str, Path]:
        """Name -> file, for every file that a sample depends on; evaluations keep their hashes."""
        return self.origin.files

    def call_settings(self) -> Mapping[str, float]:
        """Arguments of the original library's call with which a saved model gives samples as :meth:`generate` does.

        Only those that no folder keeps, for the card, by name in order; by default none.
        """
        return {}

    def usage(self) -> str:
        """Python that opens a saved folder, called ``FOLDER``, with the original library and makes a sample, for the card.

        It tells nothing of what was redacted; by default empty, for none.
        """
        return ""

    @abstractmethod
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Samples: pictures ``(3, height, width)``, grey ones ``(1, height, width)``, in [0, 1], or waveforms ``(samples,)`` in [-1, 1].

        ``seeds`` holds one seed for each condition; a sample depends on its own seed only.
        """

    def generate_rows(self, rows: Sequence[PlanRow]) -> list[Tensor]:
        """The samples that rows of a plan ask for, like :meth:`generate`.

        Raises:
            RedactError: Rows ask for a guidance or a picture size of their own, which the adapter
                does not know.
        """
        own = sorted({key for row in rows for key in ROW_SETTINGS if key in row.labels})
        if own:
            raise RedactError(
                f"{type(self).__name__} takes no {' and no '.join(own)} of single rows; leave the column out, "
                "or give the test bed settings=adapter."
            )
        return self.generate([row.condition for row in rows], seeds=[row.seed for row in rows])

    @abstractmethod
    def write_sample(self, sample: Tensor, path: Path) -> Path:
        """Write one sample as a file people can open; return the path with its suffix."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write into the empty ``folder`` what the original library loads without us.

        Files that the redaction does not touch are copied, never written anew.
        """


def _unwatched(step: int, terms: Mapping[str, float]) -> None:
    """Nobody looks on."""


def _bytes(value: Tensor) -> bytes:
    """A digest of the values."""
    return hashlib.sha256(
        value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    ).digest()


def check_seeds(conditions: int, seeds: Sequence[int]) -> None:
    """Raise :class:`~redact_core.errors.RedactError` where there is not one seed for each condition."""
    if conditions != len(seeds):
        raise RedactError(f"{conditions} conditions but {len(seeds)} seeds; give one seed for each.")


def to_device_of(module: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``inputs`` where the parameters of ``module`` are; as they are where it has none."""
    parameter = next(module.parameters(), None)
    return (
        dict(inputs)
        if parameter is None
        else {key: value.to(parameter.device) for key, value in inputs.items()}
    )
