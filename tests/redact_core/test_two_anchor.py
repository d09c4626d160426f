"""The two-anchor decision, its calibration, its certified radius, and the objective's two terms."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core import RedactError
from redact_core.adapters.contract import ToyAdapter, check_adapter
from redact_core.adapters.fingerprint import fingerprint
from redact_core.guards.two_anchor import TwoAnchorGuard, TwoAnchors, anchor_loss


def anchors(n: int = 1, m: int = 1, scale: float = 20.0, threshold: float = 0.5, dim: int = 12) -> TwoAnchors:
    return TwoAnchors(torch.randn(n, dim), torch.randn(m, dim), scale, threshold)


def test_one_anchor_each_is_the_published_decision_and_swapping_gives_the_rest() -> None:
    one, x = anchors(), torch.randn(50, 12)
    v, u, a = (normalize(t, dim=1) for t in (x, one.unacceptable, one.acceptable))
    logits = torch.cat([v @ u.T, v @ a.T], 1) * 20
    torch.testing.assert_close(one.score(x), logits.softmax(1)[:, 0])
    assert torch.equal(one.blocked(x), (v @ u.T > v @ a.T)[:, 0])
    lists = anchors(3, 5)
    swapped = TwoAnchors(lists.acceptable, lists.unacceptable, lists.scale)
    torch.testing.assert_close(swapped.score(x), 1 - lists.score(x))


def test_a_list_that_repeats_an_anchor_weighs_no_more() -> None:
    one, x = anchors(), torch.randn(9, 12)
    many = TwoAnchors(one.unacceptable.repeat(7, 1), one.acceptable, one.scale)
    torch.testing.assert_close(many.score(x), one.score(x))


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.2])
def test_calibration_keeps_the_rate_and_is_the_lowest_such_threshold(rate: float) -> None:
    benign = torch.randn(200, 12)
    found = anchors(2, 3).calibrated(benign, rate)
    assert found.blocked(benign).float().mean() <= rate
    lower = TwoAnchors(found.unacceptable, found.acceptable, found.scale, found.threshold * (1 - 1e-5))
    assert lower.blocked(benign).float().mean() > rate
    with pytest.raises(RedactError, match=r"10 validation samples cannot show .* of 0\.05; give at least 20"):
        anchors().calibrated(benign[:10], 0.05)


def flipped(decision: TwoAnchors, x: Tensor, radius: Tensor) -> Tensor:
    """Does noise of norm ``radius`` turn the decision? Sought along the worst direction, step by step."""
    sign = torch.where(decision.blocked(x), 1.0, -1.0)
    moved = x.clone()
    for _ in range(60):
        moved.requires_grad_(True)
        (slope,) = torch.autograd.grad((sign * decision.margin(moved)).sum(), moved)
        moved = (moved - 0.1 * radius[:, None] * normalize(slope, dim=1)).detach()
        away = moved - x
        moved = x + away * (radius / away.norm(dim=1)).clamp(max=1)[:, None]
    return decision.blocked(moved) != decision.blocked(x)


@pytest.mark.parametrize(("n", "m", "threshold"), [(1, 1, 0.5), (1, 1, 0.9), (4, 6, 0.5), (3, 1, 0.02)])
def test_no_direction_within_the_radius_changes_the_decision(n: int, m: int, threshold: float) -> None:
    decision, x = anchors(n, m, threshold=threshold), 3 * torch.randn(200, 12)
    radius = decision.radius(x)
    assert (radius > 0).all()
    assert not flipped(decision, x, 0.999 * radius).any()
    assert flipped(decision, x, 12 * radius).float().mean() > 0.5  # the search does find the way out


def test_the_bound_is_close_to_exact_for_a_pair_and_above_the_published_one() -> None:
    decision, x = anchors(), 3 * torch.randn(200, 12)
    normal = normalize(normalize(decision.unacceptable, dim=1) - normalize(decision.acceptable, dim=1), dim=1)
    exact = (x @ normal.T).abs()[:, 0]  # the boundary is a plane through the origin
    ours, published = decision.radius(x), decision.published_radius(x)
    assert (ours <= exact * 1.0001).all()
    assert (ours >= 0.85 * exact).all()
    assert (published <= exact).all()
    assert (published < ours).float().mean() > 0.9
    sign = torch.where(decision.blocked(x), 1.0, -1.0)[:, None]
    for share, turns in ((0.999, False), (1.001, True)):
        worst = x - sign * share * exact[:, None] * normal
        assert bool((decision.blocked(worst) != decision.blocked(x)).all()) is turns


def test_both_terms_have_gradients_and_pull_their_way() -> None:
    """Also where the released code has none: partners that are far from equal, row by row."""
    u, a, texts = (torch.randn(6, 12, requires_grad=True) for _ in range(3))
    pictures = normalize(torch.randn(8, 12), dim=1)
    unit = [normalize(x, dim=1) for x in (u, a, texts)]
    before = (unit[2] @ pictures.T).detach() + 0.1
    loss = anchor_loss(unit[0], unit[1], unit[2] @ pictures.T, before, apart=0.5, keep=2.0)
    torch.testing.assert_close(loss.total, 2 * loss.utility - 0.5 * loss.separation)
    apart = torch.autograd.grad(loss.separation, (u, a), retain_graph=True)
    kept = torch.autograd.grad(loss.utility, texts, retain_graph=True)
    assert all(bool((g.norm(dim=1) > 1e-3).all()) for g in (*apart, *kept))
    further = anchor_loss(
        *(normalize(x + 0.1 * g, dim=1) for x, g in zip((u, a), apart, strict=True)),
        normalize(texts - 0.1 * kept[0], dim=1) @ pictures.T, before, apart=0.5, keep=2.0,
    )  # fmt: skip
    assert further.separation > loss.separation
    assert further.utility < loss.utility


def test_mistakes_are_one_line() -> None:
    with pytest.raises(RedactError, match=r"shapes \(0, 3\) and \(2, 3\)"):
        TwoAnchors(torch.zeros(0, 3), torch.zeros(2, 3), 1.0)
    with pytest.raises(RedactError, match=r"shapes \(1, 3\) and \(1, 4\)"):
        TwoAnchors(torch.zeros(1, 3), torch.zeros(1, 4), 1.0)
    with pytest.raises(RedactError, match=r"threshold 1\.0; give a scale above 0"):
        anchors(threshold=1.0)


class ToyFilter(TwoAnchorGuard):
    """Embeds a toy picture as itself; blocked ones become zeros."""

    def embed(self, samples: Sequence[Tensor]) -> Tensor:
        return torch.stack([x.flatten() - 0.5 for x in samples])

    def stand_in(self, samples: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        assert len(samples) == len(seeds)
        return [torch.zeros_like(x) for x in samples]


def test_the_guard_replaces_what_is_blocked_and_nothing_else() -> None:
    toy = ToyAdapter()
    shown = {
        word: toy.generate([word], seeds=[9])[0].flatten()[None] - 0.5 for word in ("plum", "fig", "pear")
    }
    guard = ToyFilter(toy, TwoAnchors(shown["plum"], torch.cat([shown["fig"], shown["pear"]]), 20.0))
    found = guard.generate(["fig", "plum", "pear", "plum"], seeds=[1, 2, 3, 4])
    plain = toy.generate(["fig", "plum", "pear", "plum"], seeds=[1, 2, 3, 4])
    assert [bool(x.any()) for x in found] == [True, False, True, False]
    assert torch.equal(found[0], plain[0])
    assert torch.equal(found[2], plain[2])
    benign = toy.generate(["fig", "pear", "lime", "kiwi"] * 10, seeds=list(range(40)))
    stricter = guard.calibrated(benign, 0.05)
    assert stricter.threshold != guard.threshold
    assert fingerprint(stricter)["settings"] != fingerprint(guard)["settings"]
    check_adapter(stricter, ["fig", "pear"])
