"""A picture of base and redacted side by side, same prompts and seeds.

    python scripts/tools/grid.py --redacted out/no_cigarette --out docs/images/no_cigarette.png \\
        "a cigarette in noto style on a blue background" "a lit cancer stick, twemoji style" "a tiger by fluent"

Several redacted models, each with its ``--name``, make a line each.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from lightning_modules.support.one_line import one_line
from modalities.picture_files import to_bytes
from modalities.text_to_image import StableDiffusion


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--base", default="bundled")
    parser.add_argument("--redacted", required=True, action="append")
    parser.add_argument("--name", action="append", help='Of each line; default "redacted".')
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zoom", type=int, default=2, help="Of the pictures; 1 where there are many.")
    args = parser.parse_args()
    base = StableDiffusion(args.base)
    names = ["base", *(args.name or ["redacted"] * len(args.redacted))]
    if len(names) != 1 + len(args.redacted):
        parser.error(f"{len(args.redacted)} redacted models, {len(names) - 1} names; give one for each.")
    models = [base] + [
        StableDiffusion(folder, steps=base.steps, guidance=base.guidance) for folder in args.redacted
    ]
    seeds = [args.seed] * len(args.prompts)
    rows = [torch.stack(m.generate(args.prompts, seeds=seeds)) for m in models]
    height, width = (args.zoom * side for side in rows[0].shape[-2:])
    gap, left, top = 6, 86, 54
    sheet = Image.new("RGB", (left + len(seeds) * (width + gap), top + len(rows) * (height + gap)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for j, prompt in enumerate(args.prompts):
        lines, line = [], ""
        for word in prompt.split():
            if draw.textlength(f"{line} {word}", font) > width:
                lines, line = [*lines, line], word
            else:
                line = f"{line} {word}".strip()
        draw.multiline_text((left + j * (width + gap), 2), "\n".join([*lines, line][:3]), "black", font)
    for i, (name, pictures) in enumerate(zip(names, rows, strict=True)):
        draw.text((6, top + i * (height + gap) + height // 2 - 8), name, "black", font)
        for j, picture in enumerate(pictures):
            pixels = to_bytes(picture.permute(1, 2, 0)).numpy()
            tile = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(tile, (left + j * (width + gap), top + i * (height + gap)))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out)


if __name__ == "__main__":
    with one_line():
        main()
