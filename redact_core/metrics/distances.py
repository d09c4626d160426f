"""Distances between two sets of vectors. No modality: what the vectors are decides what a distance is called."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of the normal distributions with the sets' means and covariances.

    ``|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`` (Dowson & Landau 1982; Heusel et al.
    2017). The last trace is the sum of the singular values of ``A B^T`` with the centred sets in its
    rows, which is exact for any number of samples and needs no matrix root. It is biased upwards for
    few samples: compare only figures of the same numbers.

    Args:
        a: ``(n, dim)``, at least two rows.
        b: ``(m, dim)``, at least two rows.

    >>> a = torch.tensor([[0.0], [2.0]])
    >>> round(frechet_distance(a, a + 3), 6), round(frechet_distance(a, 2 * a), 6)
    (9.0, 3.0)
    """
    a, b = a.double(), b.double()
    gap = (a.mean(0) - b.mean(0)).square().sum()
    a, b = _root(a), _root(b)
    mixed = torch.linalg.svdvals(a @ b.T).sum()
    return max(0.0, (gap + a.square().sum() + b.square().sum() - 2 * mixed).item())


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy under ``(x·y / dim + 1)^3`` (Bińkowski et al. 2018).

    Unbiased for any number of samples, so it may be negative where the sets agree.

    Args:
        a: ``(n, dim)``, at least two rows.
        b: ``(m, dim)``, at least two rows.

    >>> round(kernel_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0]])), 6)
    -3.5
    """
    a, b = a.double(), b.double()
    within = [
        (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (_kernel(a, a), _kernel(b, b))
    ]
    return (within[0] + within[1] - 2 * _kernel(a, b).mean()).item()


def _root(x: Tensor) -> Tensor:
    """``R (rows, dim)`` with ``R^T R`` the covariance of ``x``; no more rows than ``dim``."""
    x = (x - x.mean(0)) / (len(x) - 1) ** 0.5
    return torch.linalg.qr(x, mode="r").R if len(x) > x.shape[1] else x


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3
