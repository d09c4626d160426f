"""A model's prompt encoder as attacks use it: fed with token embeddings, at free places of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from modalities.text_to_image.adapters.gate_block import around_blocks, gate_blocks
from modalities.text_to_image.adapters.prompt_encoder import FILLER, answering, token_layer, token_table
from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.adapters.token_ids import token_ids
from redact_core import Adapter, Conditioning, RedactError
from redact_core.adapters.guard import model_of


def opened(model: Adapter) -> StableDiffusion:
    """The Stable Diffusion inside any number of guards.

    Raises:
        RedactError: There is none.
    """
    model = model_of(model)
    if not isinstance(model, StableDiffusion):
        raise RedactError(
            f"This attack needs a tokenizer and a denoiser, {type(model).__name__} has none; give a StableDiffusion."
        )
    return model


@dataclass(frozen=True)
class Slots:
    """Prompts with ``k`` free places each."""

    ids: Tensor  # (batch, length) int64, FILLER at the free places, padded to the context
    free: Tensor  # (batch, k) int64, positions of the free places
    mask: Tensor  # (batch, length) int64, 0 where padded

    def filled(self, words: Tensor) -> Tensor:
        """``ids`` with ``words (batch, k)`` at the free places."""
        return self.ids.scatter(1, self.free, words.to(self.ids))

    def shortened(self, after: int = 3) -> Slots:
        """Without the padding but for ``after`` positions of it behind the longest prompt.

        A causal encoder answers the positions that are left as before, at a fraction of the cost; all
        padding holds the whole prompt, so a few positions of it tell as much.
        """
        length = int(self.mask.sum(1).max()) + after
        return Slots(self.ids[:, :length], self.free, self.mask[:, :length])

    def repeat(self, times: int) -> Slots:
        """Every prompt ``times`` times, next to one another."""
        return Slots(*(x.repeat_interleave(times, 0) for x in (self.ids, self.free, self.mask)))


def slots(tokenizer: CLIPTokenizer, pieces: Sequence[tuple[str, str]], k: int) -> Slots:
    """Prompts of which all is given but ``k`` tokens between two pieces.

    Args:
        tokenizer: Of the model.
        pieces: What stands before and what after the free places.
        k: How many there are.

    Raises:
        RedactError: A prompt is too long for so many more tokens.
    """

    def ids_of(text: str) -> list[int]:
        return token_ids(tokenizer, text)[1:-1]

    context, filler = tokenizer.model_max_length, ids_of(FILLER)[:1]
    rows, free, masks = [], [], []
    for before, after in pieces:
        head, tail = ids_of(before), ids_of(after)
        row = [tokenizer.bos_token_id, *head, *filler * k, *tail, tokenizer.eos_token_id]
        if len(row) > context:
            raise RedactError(
                f'"{(before + after)[:60]}" with {k} more tokens has {len(row)}, the encoder reads {context}; '
                "give the attack fewer tokens."
            )
        masks.append([1] * len(row) + [0] * (context - len(row)))
        rows.append(row + [tokenizer.pad_token_id] * (context - len(row)))
        free.append(list(range(1 + len(head), 1 + len(head) + k)))
    return Slots(torch.tensor(rows), torch.tensor(free), torch.tensor(masks))


SearchObjective = Callable[[Conditioning, int], Tensor]
"""Conditioning of a batch and number of the step -> ``(batch,)`` what shall fall."""
GATE_WEIGHTS = (0.2, 1.0)
"""Of the openings of gates in a search, against its own loss at the first step; the rows take them in turn."""
_SCALE = 50.0
_AWAY = 0.004


class Reader:
    """Reads :class:`Slots` with a model's encoder; differentiable in what is put there.

    Searches know of gates. A gate has no gradient where it is shut and none of the concept where it is open, so
    :meth:`loss` follows the conditioning in front of all gates, and adds by how much they would open.

    Args:
        model: A Stable Diffusion, guarded or not; its encoder is used as it is.
        gate_weights: As :data:`GATE_WEIGHTS`.
    """

    def __init__(self, model: Adapter, gate_weights: Sequence[float] = GATE_WEIGHTS):
        self._models = [part for part in model.encoder.modules() if isinstance(part, CLIPTextModel)]
        self.gated = any(gate_blocks(part) for part in self._models)
        self._weights = gate_weights
        self._first: Tensor | None = None
        self.tokenizer = opened(model).tokenizer
        self.encoder = model.encoder
        self._layer = token_layer(self.encoder)

    @property
    def table(self) -> Tensor:
        """``(vocabulary, dim)`` token embeddings, not to be trained."""
        return token_table(self.encoder)

    def __call__(self, asked: Slots, embeddings: Tensor) -> Conditioning:
        """The encoder's answer with ``embeddings (batch, k, dim)`` at the free places."""
        asked = self._placed(asked)
        index = asked.free.unsqueeze(-1).expand(-1, -1, embeddings.shape[-1])
        with answering(self._layer, lambda known: known.detach().scatter(1, index, embeddings.to(known))):
            return self.encoder({"input_ids": asked.ids, "attention_mask": asked.mask})

    def loss(self, objective: SearchObjective, asked: Slots, embeddings: Tensor, step: int) -> Tensor:
        """``(batch,)`` the objective with ``embeddings`` at the free places, as an attacker sees it who knows the gates.

        Without gates this is the objective of the encoder's answer. With gates it is that of what is in front of them,
        as a share of its value at the first step, and a weight times how far the gates would open.

        Args:
            objective: What the search minimises.
            asked: Prompts, or each of them several times next to one another.
            embeddings: ``(batch, k, dim)``.
            step: Number of the step.
        """
        if not self.gated:
            return objective(self(asked, embeddings), step)
        with ExitStack() as stack:
            found = [stack.enter_context(around_blocks(part)) for part in self._models]
            own = objective(self(asked, embeddings), step)
        # (blocks, batch, length); the first position holds nothing of the prompt
        excess = torch.stack([one for part in found for one in part])[..., 1:]
        opened_by = _SCALE * torch.relu(excess + _AWAY).mean(-1).sum(0)
        if self._first is None:
            self._first = own.detach().clamp(min=torch.finfo(own.dtype).tiny)
        times = len(own) // len(self._first)
        rows = torch.arange(len(self._first), device=own.device)
        weights = torch.tensor(self._weights, device=own.device)[rows % len(self._weights)]
        first, weight = (x.repeat_interleave(times) for x in (self._first, weights))
        return own / first + weight * opened_by

    def words(self, asked: Slots, words: Tensor) -> Conditioning:
        """The encoder's answer with the tokens ``words (batch, k)`` at the free places."""
        asked = self._placed(asked)
        return self.encoder({"input_ids": asked.filled(words.to(asked.ids)), "attention_mask": asked.mask})

    def _placed(self, asked: Slots) -> Slots:
        device = self.table.device
        return Slots(asked.ids.to(device), asked.free.to(device), asked.mask.to(device))


@contextmanager
def frozen(*modules: nn.Module) -> Generator[None]:
    """Without gradients of the parameters, which attacks do not need and which cost half the time."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
