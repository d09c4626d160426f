"""Stage 5: put the trained parts together as the folders that the package ships, in half precision.

python scripts/recipes/text_to_image/pack.py --runs runs/base --out modalities/text_to_image/bundled
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from captions import LENGTH
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from pictures import BACKGROUNDS, STYLES, concepts
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModel, CLIPTokenizer
from unet import scheduler

from lightning_modules.support.one_line import one_line
from modalities.stated_dtype import load_in_float32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    shutil.rmtree(args.out / "pipeline", ignore_errors=True)
    text = CLIPTextModel.from_pretrained(args.runs / "clip")
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(args.runs / ("vae64" if (args.runs / "vae64").is_dir() else "vae")),
        text_encoder=text,
        tokenizer=CLIPTokenizer.from_pretrained(args.runs / "clip", model_max_length=LENGTH),
        unet=UNet2DConditionModel.from_pretrained(args.runs / "unet"),
        scheduler=scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    for part in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
        part.to(torch.float16)
    pipeline.save_pretrained(args.out / "pipeline")
    # the key names of the hub's checkpoints, which every version of transformers reads
    path = args.out / "pipeline" / "text_encoder" / "model.safetensors"
    state = {"text_model." + key.removeprefix("text_model."): value for key, value in load_file(path).items()}
    save_file(state, path, metadata={"format": "pt"})
    load_in_float32(args.out / "pipeline" / "text_encoder")
    for name in ("clip", "clip_judge"):
        if (args.runs / name).is_dir():
            folder = args.out / name
            CLIPModel.from_pretrained(args.runs / name).to(torch.float16).save_pretrained(folder)
            CLIPTokenizer.from_pretrained(args.runs / name, model_max_length=LENGTH).save_pretrained(folder)
            CLIPImageProcessor.from_pretrained(args.runs / name).save_pretrained(folder)
            load_in_float32(folder)
    if (args.runs / "grader").is_dir():
        grader = args.out / "grader"
        grader.mkdir(exist_ok=True)
        state = load_file(args.runs / "grader" / "model.safetensors")
        save_file({key: value.half() for key, value in state.items()}, grader / "model.safetensors")
        shutil.copyfile(args.runs / "grader" / "labels.json", grader / "labels.json")
    recipe = {
        "stages": json.loads((args.runs / "times.json").read_text()),
        "concepts": len(concepts()), "styles": list(STYLES), "backgrounds": list(BACKGROUNDS),
    }  # fmt: skip
    (args.out / "recipe.json").write_text(json.dumps(recipe, indent=1, allow_nan=False) + "\n")
    size = sum(p.stat().st_size for p in args.out.rglob("*") if p.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    with one_line():
        main()
