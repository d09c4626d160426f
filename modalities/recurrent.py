"""Recurrent layers that give gradients in every mode: cuDNN refuses a backward pass through one that evaluates."""

from __future__ import annotations

from typing import Self

from torch import nn


class GRU(nn.GRU):
    """``nn.GRU`` without dropout, which stays in training mode; the function is the same in both modes."""

    def train(self, mode: bool = True) -> Self:
        return super().train(mode or self.dropout == 0)


class LSTM(nn.LSTM):
    """``nn.LSTM`` without dropout, which stays in training mode; the function is the same in both modes."""

    def train(self, mode: bool = True) -> Self:
        return super().train(mode or self.dropout == 0)
