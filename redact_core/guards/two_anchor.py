"""The two-anchor decision of Espresso over embeddings of samples, for every modality; torch only.

Das, Duddu, Zhang, Asokan, "Espresso: robust concept filtering in text-to-image models" (arXiv
2404.19227): a sample is blocked if its embedding is nearer to what is unacceptable than to what is
acceptable. An attacker must then move it towards something harmless, not just away from the concept.
Here both anchors may be lists, and the threshold is calibrated rather than fixed at one half.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core.adapters.base import Adapter
from redact_core.adapters.guard import Guard
from redact_core.errors import RedactError
from redact_core.types import Condition, Conditioning


@dataclass(frozen=True)
class TwoAnchors:
    """Anchors and threshold of the decision.

    Raises:
        RedactError: A list is empty, their dimensions differ, or a number is out of its range.
    """

    unacceptable: Tensor
    """``(n, dim)`` embeddings, of any length; only their directions count."""
    acceptable: Tensor
    """``(m, dim)``."""
    scale: float
    """s > 0, the inverse temperature: CLIP's ``exp(logit_scale)``."""
    threshold: float = 0.5
    """Of the score, in [0, 1): above it a sample is blocked."""

    def __post_init__(self) -> None:
        shapes = [tuple(x.shape) for x in (self.unacceptable, self.acceptable)]
        if any(len(s) != 2 or not s[0] for s in shapes) or shapes[0][1] != shapes[1][1]:
            raise RedactError(
                f"The anchors have shapes {shapes[0]} and {shapes[1]}; give (number, dim), at least one each."
            )
        if not self.scale > 0 or not 0 <= self.threshold < 1:
            raise RedactError(
                f"scale is {self.scale} and threshold {self.threshold}; give a scale above 0 and a "
                "threshold from 0 to below 1."
            )

    def margin(self, embedded: Tensor) -> Tensor:
        """``(batch,)`` log-odds of unacceptable against acceptable.

        A list counts as the mean of its anchors' ``exp(s cos)``, so that a longer list weighs no more.
        For one anchor each this is ``s v (u_c - u_a)``, the published decision.
        """
        unit = normalize(embedded, dim=1)
        unacceptable, acceptable = (
            torch.logsumexp(self.scale * unit @ normalize(anchors.to(unit), dim=1).T, 1)
            - math.log(len(anchors))
            for anchors in (self.unacceptable, self.acceptable)
        )
        return unacceptable - acceptable

    def score(self, embedded: Tensor) -> Tensor:
        """``(batch,)`` in [0, 1]: F, the share of the unacceptable; swapped anchors give ``1 - F``."""
        return self.margin(embedded).sigmoid()

    def excess(self, embedded: Tensor) -> Tensor:
        """``(batch,)`` log-odds above the threshold, for attackers and bounds: above 0 a sample is blocked.

        Finite for every score, and differentiable.
        """
        level = math.log(max(self.threshold, 1e-12)) - math.log1p(-self.threshold)
        return self.margin(embedded) - level

    def blocked(self, embedded: Tensor) -> Tensor:
        """``(batch,)`` bool."""
        return self.score(embedded) > self.threshold

    def calibrated(self, benign: Tensor, rate: float) -> TwoAnchors:
        """The same anchors with the lowest threshold that blocks at most ``rate`` of ``benign``.

        Args:
            benign: ``(n, dim)`` embeddings of samples that shall pass, of a validation set.
            rate: Target false-positive rate in [0, 1).

        Raises:
            RedactError: ``rate`` is out of range, or there are too few samples to tell it from zero.
        """
        if not 0 <= rate < 1:
            raise RedactError(f"The false-positive rate is {rate}; give 0 to below 1.")
        if not len(benign) or (rate and len(benign) < 1 / rate):
            raise RedactError(
                f"{len(benign)} validation samples cannot show a false-positive rate of {rate:g}; "
                f"give at least {math.ceil(1 / rate) if rate else 1}."
            )
        ordered = self.score(benign).sort(descending=True).values
        allowed = math.floor(rate * len(benign) + 1e-9)
        # a saturated score of 1 cannot be exceeded; the threshold stays below 1
        return replace(self, threshold=min(ordered[allowed].item(), 1 - 1e-7))

    def radius(self, embedded: Tensor) -> Tensor:
        """``(batch,)`` a Euclidean radius in embedding space within which no decision changes.

        The margin, as a function on the unit sphere, changes by at most ``s L`` a unit of chord, where
        L is the greatest distance of an unacceptable and an acceptable anchor; noise of norm r turns
        an embedding of norm R by at most ``asin(r / R)``. The proof needs no more, so it holds for
        lists and any threshold. It is our bound: the published one (:meth:`published_radius`) is for
        one anchor each and a threshold of one half, and several times smaller.
        """
        unacceptable, acceptable = (normalize(x, dim=1) for x in (self.unacceptable, self.acceptable))
        steepest = self.scale * torch.cdist(unacceptable, acceptable).max().clamp(min=1e-12)
        chord = self.excess(embedded).abs() / steepest
        angle = 2 * (chord / 2).clamp(max=math.sin(math.pi / 4)).asin()  # beyond 90 degrees: all of R
        return embedded.norm(dim=1) * angle.sin()

    def published_radius(self, embedded: Tensor) -> Tensor:
        """``(batch,)`` ``(1 - s / (s + 2 |F - 1/2|)) ||phi||``, as in the authors' code.

        Sound for one anchor each and threshold one half: there the boundary is a plane at distance
        ``||phi|| |v d| / ||d||`` with ``d = u_c - u_a``, and ``2 |F - 1/2| = tanh(s |v d| / 2)`` makes
        the formula at most ``||phi|| |v d| / 2``, which is less as ``||d|| <= 2``.
        """
        certainty = 2 * (self.score(embedded) - 0.5).abs()
        return (1 - self.scale / (self.scale + certainty)) * embedded.norm(dim=1)


class TwoAnchorGuard(Guard):
    """Blocks samples by the two-anchor decision; a modality says how to embed and what stands in.

    Args:
        inner: What is guarded.
        anchors: Of the decision.
    """

    def __init__(self, inner: Adapter, anchors: TwoAnchors):
        super().__init__(inner)
        self.use(anchors)

    def use(self, anchors: TwoAnchors) -> None:
        """Decide by ``anchors`` from now on."""
        self.anchors, self.threshold = anchors, anchors.threshold  # the latter for the fingerprint

    @classmethod
    def outermost(cls, model: Adapter) -> Self | None:
        """``model`` if it is a guard of this class, or ``None`` where there is none around it.

        Raises:
            RedactError: There is one, but another guard stands around it.
        """
        if isinstance(model, cls):
            return model
        inner = model
        while isinstance(inner, Guard):
            inner = inner.inner
            if isinstance(inner, cls):
                raise RedactError(
                    f"This attack changes samples between the model and {cls.__name__}, and a "
                    f"{type(model).__name__} stands around that; put {cls.__name__} outermost."
                )
        return None

    @torch.no_grad()
    def given_out(self, samples: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        """``samples`` with what is blocked replaced."""
        found = list(samples)
        blocked = self.anchors.blocked(self.embed(found)).nonzero().flatten().tolist() if found else []
        if blocked:
            others = self.stand_in([found[i] for i in blocked], [seeds[i] for i in blocked])
            for i, other in zip(blocked, others, strict=True):
                found[i] = other
        return found

    @abstractmethod
    def embed(self, samples: Sequence[Tensor]) -> Tensor:
        """``(samples, dim)`` in the space of the anchors; differentiable."""

    @abstractmethod
    def stand_in(self, samples: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        """What is given out in place of blocked ``samples``, one for each."""

    def calibrated(self, benign: Sequence[Tensor], rate: float) -> Self:
        """This guard with its threshold set on samples that shall pass; see :meth:`TwoAnchors.calibrated`."""
        other = self.around(self.inner)
        with torch.no_grad():
            other.use(self.anchors.calibrated(self.embed(benign), rate))
        return other

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        return self.given_out(self.inner.generate(conditions, seeds=seeds), seeds)


class AnchorLoss(NamedTuple):
    """The objective of tuning the text tower and its two terms, scalars."""

    total: Tensor
    separation: Tensor
    """Mean squared distance of unacceptable and acceptable unit embeddings, from 0 to 4; is raised."""
    utility: Tensor
    """Mean squared change of the cosine of texts and samples; is lowered."""


def anchor_loss(
    unacceptable: Tensor, acceptable: Tensor, now: Tensor, before: Tensor, *, apart: float, keep: float
) -> AnchorLoss:
    """``-apart * separation + keep * utility``.

    The released code of Espresso cannot be followed here: in one branch its utility terms cancel, in
    the other the difference is normalised and constant. Both terms of ours have gradients.

    Args:
        unacceptable: ``(n, dim)`` unit embeddings of unacceptable texts, by the tower in training.
        acceptable: ``(n, dim)``, a partner for each.
        now: Cosines of benign texts and samples, of any shape, by the tower in training.
        before: The same by the untouched tower.
        apart: Weight of the separation.
        keep: Weight of the utility.
    """
    separation = (unacceptable - acceptable).square().sum(1).mean()
    utility = (now - before).square().mean()
    return AnchorLoss(keep * utility - apart * separation, separation, utility)
