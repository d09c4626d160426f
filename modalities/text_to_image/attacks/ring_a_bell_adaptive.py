"""Ring-A-Bell against the model itself."""

from __future__ import annotations

from modalities.text_to_image.attacks.ring_a_bell import RingABell


class RingABellAdaptive(RingABell):
    """Ring-A-Bell whose search goes through the attacked encoder; the target stays the base's.

    Released adaptive terms compare fixed embeddings only, which does not depend on the searched words.
    """

    adaptive = True
