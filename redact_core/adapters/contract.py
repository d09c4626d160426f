"""For adapter authors: a toy adapter that runs anywhere, and the contract that every adapter keeps."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter, Origin
from redact_core.errors import RedactError
from redact_core.types import Condition, Conditioning, Lesson, Request

_LENGTH, _DIM = 6, 8


class ToyEncoder(nn.Module):
    """Letters of a word -> ``hidden (batch, 6, 8)``; mixes positions, so that every letter counts."""

    def __init__(self, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embedding = nn.Embedding.from_pretrained(
            torch.randn(128, _DIM, generator=generator), freeze=False
        )
        self.mix = nn.Parameter(torch.randn(_LENGTH * _DIM, 32, generator=generator) / 7)
        self.out = nn.Parameter(torch.randn(32, _LENGTH * _DIM, generator=generator) / 6)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        x = self.embedding(inputs["letters"]).flatten(1)
        hidden = (x + torch.tanh(x @ self.mix) @ self.out).view(-1, _LENGTH, _DIM)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))


class ToyAdapter(Adapter):
    """Words of up to six letters; a "picture" is the word's conditioning plus noise of the seed."""

    learning_rate = 1e-2
    WORDS = ("apple", "pear", "plum", "fig", "lime", "peach", "cherry", "melon", "grape", "kiwi")

    def __init__(self, seed: int = 0):
        self.seed = seed
        self.encoder: nn.Module = ToyEncoder(seed)

    @property
    def origin(self) -> Origin:
        return Origin(source="toy", kind="ToyEncoder")

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        rows = []
        for condition in conditions:
            word = str(condition)
            if len(word) > _LENGTH:
                raise RedactError(
                    f'"{word}" has {len(word)} letters, the encoder reads {_LENGTH}; shorten it.'
                )
            rows.append([min(ord(c), 127) for c in word.ljust(_LENGTH)])
        return {"letters": torch.tensor(rows)}

    def expand(self, request: Request) -> list[Lesson]:
        redacted = [
            Lesson.redact(word, request.reference_of(i) or "fig") for i, word in enumerate(request.redact)
        ]
        return [*redacted, *(Lesson.retain(word) for word in self.WORDS if word not in request.redact)]

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        conditioning = conditions if isinstance(conditions, Conditioning) else self.encode(conditions)
        hidden = conditioning.hidden.detach().cpu()
        samples = []
        for row, seed in zip(hidden, seeds, strict=True):
            noise = torch.randn(3, _LENGTH, _DIM, generator=torch.Generator().manual_seed(seed))
            samples.append(torch.sigmoid(row + 0.01 * noise))
        return samples

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        path = path.with_suffix(".pt")
        torch.save(sample, path)
        return path

    def save(self, folder: Path) -> None:
        torch.save(self.encoder.state_dict(), folder / "encoder.pt")


def check_adapter(adapter: Adapter, conditions: Sequence[Condition]) -> None:
    """Assert the contract of :class:`Adapter`, on the device where it is; call it from a test of yours.

    Args:
        adapter: Any adapter, tiny weights will do.
        conditions: At least two different conditions that it accepts.
    """
    assert len(set(conditions)) >= 2, "give at least two different conditions"
    inputs = adapter.collate(conditions)
    assert all(len(value) == len(conditions) for value in inputs.values()), "first dimension is the batch"
    alone = adapter.collate(conditions[:1])
    assert all(alone[k].shape[1:] == v.shape[1:] for k, v in inputs.items()), (
        "widths do not depend on the batch"
    )
    conditioning = adapter.encoder(adapter.collated(conditions))
    batch, length, _ = conditioning.hidden.shape
    assert batch == len(conditions)
    assert conditioning.hidden.is_floating_point()
    assert conditioning.mask.shape == (batch, length)
    assert conditioning.mask.dtype == torch.bool
    assert bool(conditioning.mask.any(1).all())
    assert conditioning.pooled is None or conditioning.pooled.shape[0] == batch
    assert not torch.equal(conditioning.hidden[0], conditioning.hidden[1]), (
        "two conditions give two conditionings"
    )
    again = adapter.encoder(adapter.collated(conditions))
    assert torch.equal(conditioning.hidden, again.hidden), "the encoder is deterministic"
    conditioning.hidden.square().sum().backward()
    moved = [p for p in adapter.encoder.parameters() if p.grad is not None and bool(p.grad.any())]
    assert moved, "gradients reach the encoder"
    adapter.encoder.zero_grad(set_to_none=True)
    with torch.no_grad():
        first = adapter.generate(conditions[:2], seeds=[3, 4])
        second = adapter.generate(conditions[:2], seeds=[3, 4])
        direct = adapter.generate(adapter.encoder(adapter.collated(conditions[:2])), seeds=[3, 4])
        other = adapter.generate(conditions[:2], seeds=[5, 6])
    assert all(map(torch.equal, first, second)), "the same seeds give the same samples"
    assert all(map(torch.equal, first, direct)), "generate reads adapter.encoder"
    assert not torch.equal(first[0], other[0]), "another seed gives another sample"
    assert all(x.device.type == "cpu" for x in first), "samples are given on the CPU"
    assert all(torch.isfinite(x).all() and x.min() >= -1 and x.max() <= 1 for x in first)
    with tempfile.TemporaryDirectory() as folder:
        assert adapter.write_sample(first[0], Path(folder) / "sample").is_file()
