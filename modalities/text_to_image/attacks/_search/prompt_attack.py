"""What all attacks on Stable Diffusion have in common."""

from modalities.text_to_image.attacks._search.reading import opened
from redact_core import Adapter, Attack


class PromptAttack(Attack):
    """An attack that needs the tokenizer, the vocabulary or the denoiser of a Stable Diffusion."""

    def check(self, model: Adapter) -> None:
        """As :meth:`~redact_core.attacks.base.Attack.check`; models of other kinds are refused too."""
        super().check(model)
        opened(model)
