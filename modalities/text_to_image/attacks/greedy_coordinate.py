"""Greedy coordinate search with the encoder's gradient."""

from __future__ import annotations

from modalities.text_to_image.attacks._search.token_search import EncoderSearch, SwapSearch


class GreedyCoordinate(EncoderSearch, SwapSearch):
    """Words that bring the attacked encoder's answer near the base's, swap by swap.

    In the manner of MMA-Diffusion (Yang et al., arXiv 2311.17516, eq. 2), with the whole hidden state
    in place of the pooled one: the denoiser reads all of it.

    Args:
        tokens: Words that are searched.
        steps: Swaps made.
        candidates: Swaps tried at each step.
        top: Words proposed for each place.
        checks: How often pictures are looked at.
        replace_name: Whether the words stand in place of the subject instead of in front of the prompt.
    """

    def __init__(
        self,
        tokens: int = 4,
        steps: int = 50,
        candidates: int = 128,
        top: int = 64,
        checks: int = 2,
        replace_name: bool = False,
    ):
        super().__init__(tokens, steps, candidates, top, checks, replace_name)
