"""What all attacks on voice cloners have in common."""

from modalities.text_to_speech.attacks.voices import cloner
from redact_core import Adapter, Attack


class VoiceAttack(Attack):
    """An attack that needs the bank of voices or the speaker encoder of a voice cloner."""

    def check(self, model: Adapter) -> None:
        """As :meth:`~redact_core.attacks.base.Attack.check`; models of other kinds are refused too."""
        super().check(model)
        cloner(model)
