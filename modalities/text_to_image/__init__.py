"""Text-to-image models: prompts, concepts and styles."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy

if TYPE_CHECKING:
    from modalities.text_to_image.adapters.prompt_pipeline import PromptPipeline
    from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
    from modalities.text_to_image.adapters.stable_diffusion_xl import StableDiffusionXL
    from modalities.text_to_image.guards.dual_latent import DualLatent
    from modalities.text_to_image.guards.espresso import Espresso
    from modalities.text_to_image.guards.sld import SafeLatentDiffusion
    from modalities.text_to_image.robust_prompts import RobustPrompts
    from modalities.text_to_image.unlearn import unlearn
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "DualLatent",
    "Espresso",
    "PromptPipeline",
    "RobustPrompts",
    "SafeLatentDiffusion",
    "StableDiffusion",
    "StableDiffusionXL",
    "unlearn",
]
