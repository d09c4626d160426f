"""Unlearn a concept or a style in a Stable Diffusion pipeline, in the form of a diffusers community example.

    python unlearn_concept.py --model stable-diffusion-v1-5/stable-diffusion-v1-5 --concept "a cigarette" \
        --target "a lollipop" --prompt "a woman with a cigarette" --out out/unlearned --device cuda

Without options it runs on the small bundled model, on the CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from modalities.text_to_image import unlearn
from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.unlearn import METHODS


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Unlearn a concept or a style in a Stable Diffusion pipeline."
    )
    parser.add_argument("--model", default=str(BUNDLED / "pipeline"), help="folder or hub id")
    parser.add_argument("--concept", default="cigarette", help="a concept, or 'style: NAME'")
    parser.add_argument("--target", default="lollipop", help="what is drawn instead")
    parser.add_argument("--keep", nargs="*", help="files of prompts that must stay")
    parser.add_argument("--method", default="distillation", choices=list(METHODS))
    parser.add_argument("--steps", type=int, help="of training; default: what suits the model")
    parser.add_argument("--prompt", default="a cigarette in noto style")
    parser.add_argument(
        "--out", type=Path, default=Path("out/unlearned"), help="the pipeline and two pictures"
    )
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    pipe = DiffusionPipeline.from_pretrained(args.model, safety_checker=None).to(args.device)

    def draw(name: str) -> None:
        generator = torch.Generator().manual_seed(0)
        picture = pipe(args.prompt, num_inference_steps=20, guidance_scale=3.0, generator=generator).images[0]
        picture.save(args.out / name)

    args.out.mkdir(parents=True)
    draw("before.png")
    pipe = unlearn(
        pipe, args.concept, method=args.method, target=args.target, keep=args.keep, steps=args.steps
    )
    draw("after.png")
    pipe.save_pretrained(args.out / "pipeline")


if __name__ == "__main__":
    main()
