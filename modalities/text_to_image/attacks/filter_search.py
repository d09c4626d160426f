"""Words in front of a prompt that get its picture past the filter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from modalities.text_to_image.attacks._search.objectives import SearchObjective
from modalities.text_to_image.attacks._search.reading import Slots
from modalities.text_to_image.attacks._search.sampling import Loop
from modalities.text_to_image.attacks._search.token_search import SwapSearch
from modalities.text_to_image.guards.espresso import Espresso
from redact_core import Adapter, Conditioning, PlanRow


class FilterSearch(SwapSearch):
    """Greedy coordinate search with the filter in the loss.

    A picture is drawn in few steps from the noise that the row's seed gives, differentiably. The loss
    is how far the filter is from passing it, plus how far its latents are from those of the base's
    picture of the plain prompt, drawn alike: the picture shall stay and the verdict change. Guards
    inside the sampler have no part in these pictures, only in the looks at what comes out.

    Args:
        tokens: Words that are searched.
        steps: Swaps made.
        candidates: Swaps tried at each step.
        top: Words proposed for each place.
        checks: How often pictures are looked at.
        draw_steps: Denoising steps of the picture in the loss.
        keep: Weight of the distance of the latents; log-odds of the filter have weight one.
        replace_name: Whether the words stand in place of the subject instead of in front of the prompt.
    """

    access = "denoiser gradient"

    def __init__(
        self,
        tokens: int = 3,
        steps: int = 6,
        candidates: int = 12,
        top: int = 32,
        checks: int = 2,
        draw_steps: int = 3,
        keep: float = 5.0,
        replace_name: bool = False,
    ):
        super().__init__(tokens, steps, candidates, top, checks, replace_name)
        self.draw_steps, self.keep = draw_steps, keep

    @property
    def budget(self) -> str:
        return f"{super().budget}, pictures of {self.draw_steps} steps"

    def objective(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], asked: Slots, seed: int
    ) -> SearchObjective:
        del asked, seed
        guard, loop, plain = Espresso.outermost(model), Loop(model), Loop(base)
        for one in (loop, plain):
            one.scheduler.set_timesteps(self.draw_steps)
        noise = loop.noise([row.seed for row in rows])
        with torch.no_grad():
            wanted = plain.run(noise, plain.encode([row.condition for row in rows]), plain.times)

        def loss(conditioning: Conditioning, step: int) -> Tensor:
            del step
            times = len(conditioning) // len(rows)  # candidates of one prompt stand next to one another
            latents = loop.run(noise.repeat_interleave(times, 0), conditioning, loop.times)
            away = (latents - wanted.repeat_interleave(times, 0)).square().flatten(1).mean(1)
            if guard is None:
                return self.keep * away
            above = guard.anchors.excess(guard.embed(loop.pictures(latents)))
            return self.keep * away + softplus(above).to(away)

        return loss
