"""A tiny random class-conditional model, written to disk, and a linear generator that can be checked by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from modalities.class_to_image.networks import ClassRows, Vae
from redact_core import Conditioning
from redact_core.adapters.capabilities import HasTrainingLoss
from redact_core.adapters.contract import ToyAdapter

NAMES = ["cup", "hat", "sock", "vase"]


def tiny_class_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    vae = Vae(latent=2, embedding=4, widths=(8, 6))
    rows = ClassRows(len(NAMES), vae.places)
    state = {f"classes.{k}": v for k, v in rows.tables.state_dict().items()}
    state |= {f"generator.{k}": v for k, v in vae.state_dict().items()}
    folder.mkdir(parents=True)
    save_file({k: v.half() for k, v in state.items()}, folder / "model.safetensors", {"format": "pt"})
    config = {"architecture": "vae", "classes": NAMES, "latent": 2, "embedding": 4, "widths": [8, 6]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def tiny_diffusion_folder(folder: Path) -> Path:
    """``UNet2DModel`` and scheduler as diffusers writes them, float16, three denoising steps."""
    from modalities.class_to_image.diffusion import build

    torch.manual_seed(0)
    ddpm = build(len(NAMES), widths=(8, 16), groups=4)
    ddpm.unet.class_embedding = nn.Embedding(len(NAMES), ddpm.places["embedding"])
    ddpm.unet.half().save_pretrained(folder / "unet")
    ddpm.scheduler.save_pretrained(folder / "scheduler")
    config = {"architecture": "unet", "classes": NAMES, "steps": 3}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


class LinearAdapter(ToyAdapter, HasTrainingLoss):
    """Draws ``W h`` of the flat conditioning ``h``; the loss at time ``t`` is ``(t + 1) |x - W h|^2``."""

    STEPS = 3

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(48, 4, bias=False)
        nn.init.normal_(self.linear.weight, std=0.1, generator=torch.Generator().manual_seed(0))

    @property
    def generator(self) -> nn.Module:
        return self.linear

    @property
    def time_steps(self) -> int:
        return self.STEPS

    @torch.no_grad()
    def generate(self, conditions: Sequence | Conditioning, *, seeds: Sequence[int]) -> list[Tensor]:
        said = conditions if isinstance(conditions, Conditioning) else self.encoder(self.collate(conditions))
        drawn = self.linear(said.hidden.flatten(1))
        noise = [torch.randn(4, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return list((drawn + 0.1 * torch.stack(noise)).view(-1, 1, 2, 2))

    def training_loss(
        self,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        times: Sequence[int] | None = None,
    ) -> Tensor:
        when = torch.tensor(list(times) if times is not None else [seed % self.STEPS for seed in seeds])
        error = torch.stack(list(samples)).flatten(1) - self.linear(conditioning.hidden.flatten(1))
        return (when + 1) * error.square().sum(1)
