"""Text-to-image models: prompts, concepts and styles."""

from modalities.text_to_image.sld import SafeLatentDiffusion
from modalities.text_to_image.stable_diffusion import StableDiffusion

__all__ = ["SafeLatentDiffusion", "StableDiffusion"]
