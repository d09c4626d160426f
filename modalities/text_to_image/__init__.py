"""Text-to-image models: prompts, concepts and styles."""

from modalities.text_to_image.dual_latent import DualLatent
from modalities.text_to_image.espresso import Espresso
from modalities.text_to_image.sld import SafeLatentDiffusion
from modalities.text_to_image.stable_diffusion import StableDiffusion
from modalities.text_to_image.stable_diffusion_xl import StableDiffusionXL

__all__ = ["DualLatent", "Espresso", "SafeLatentDiffusion", "StableDiffusion", "StableDiffusionXL"]
