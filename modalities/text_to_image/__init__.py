"""Text-to-image models: prompts, concepts and styles."""

from typing import TYPE_CHECKING

from redact_core.lazy_names import lazy

if TYPE_CHECKING:
    from modalities.text_to_image.dual_latent import DualLatent
    from modalities.text_to_image.espresso import Espresso
    from modalities.text_to_image.sld import SafeLatentDiffusion
    from modalities.text_to_image.stable_diffusion import StableDiffusion
    from modalities.text_to_image.stable_diffusion_xl import StableDiffusionXL
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["DualLatent", "Espresso", "SafeLatentDiffusion", "StableDiffusion", "StableDiffusionXL"]
