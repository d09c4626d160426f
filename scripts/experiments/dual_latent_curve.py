"""Dual latent reconstruction over the weight of the safe stream, and its open choices side by side. Resumable.

    python scripts/experiments/dual_latent_curve.py --out out/dual_latent --listener out/no_cigarette

On the bundled base, judged by the bundled grader. The choices are drawn without the group *far*. *Leak* is how often the redacted concept is seen,
*reference* how often what is shown instead, *near* (the ten nearest concepts) and *far* how often the
concept that was asked for; *balance* is ``removal_balance`` against the weight 0. The safe stream is
the prompt as the redacted encoder ``--listener`` hears it; lines that begin with ``context`` draw it
from the reference's name instead, whatever was asked. Written are ``cells/``, ``tables.json`` and
``curve.png`` in OUT: pictures over the weight with the figures below. Several processes may share OUT.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file, save
from torch import Tensor

from lightning_modules.comparison.result_tables import Cell, ResultTable, write_tables
from lightning_modules.support.one_line import one_line
from modalities.picture_files import to_bytes
from modalities.text_to_image import DualLatent, StableDiffusion
from modalities.text_to_image.metrics.grader import Judge
from redact_core import PlanRow, RedactError, Request
from redact_core.guards.dual_latents import removal_balance
from redact_core.metrics.statistics import wilson
from redact_core.support.folders import write_whole

PLAIN: dict = {
    "lead": "both",
    "coupled": True,
    "schedule": "constant",
    "keep_variance": False,
    "threshold": 0.2,
}
CHOICES: dict[str, dict] = {
    "user leads": {"lead": "user"},
    "safe leads": {"lead": "safe"},
    "uncoupled": {"coupled": False},
    "ramp": {"schedule": "ramp"},
    "variance kept": {"keep_variance": True},
    "from the start": {"threshold": 0.0},
}
GROUPS = {"redacted": "leak", "neighbours": "near", "retained": "far"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--listener", required=True, help="Folder of the redacted model.")
    parser.add_argument("--redact", default="cigarette")
    parser.add_argument("--reference", default="lollipop")
    parser.add_argument("--n", type=int, default=60, help="Pictures of a group.")
    parser.add_argument("--weights", type=float, nargs="*", default=[0.0, 0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--choices", nargs="*", default=[*CHOICES, "context"])
    parser.add_argument("--choices-at", type=float, nargs="*", default=[0.5])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    base = StableDiffusion("bundled", batch_size=30)
    groups: dict[str, list[PlanRow]] = {}
    for row in base.plan(Request((args.redact,), (args.reference,), seed=args.seed), args.n):
        groups.setdefault(row.group, []).append(row)
    heard = {"listener": base.reopen(Path(args.listener))}
    study = Study(args.out, base, {name: groups[name] for name in GROUPS}, vars(args))
    for weight in args.weights:
        study.cell(("base", weight), heard | PLAIN)
    for weight in args.choices_at:
        for name in args.choices:
            if name == "context":
                study.cell((name, weight), {"context": f"a {args.reference}"} | PLAIN)
            else:
                study.cell((name, weight), heard | PLAIN | CHOICES[name])
    drawn = {own["weight"] for own in study.found if own["name"] == "base"}
    if 0.0 not in drawn:
        return  # another process makes the curve
    figures = table(study.found)
    write_tables(args.out / "tables.json", {"weights": figures})
    sheet(study, sorted(drawn), args.out / "curve.png")
    print(figures.markdown())


class Study:
    """Finished cells in ``cells.json``, the curve's first pictures beside it."""

    def __init__(self, out: Path, base: StableDiffusion, groups: dict[str, list[PlanRow]], settings: dict):
        self.out, self.base, self.groups, self.judge = out, base, groups, Judge()
        self.settings = {k: str(settings[k]) for k in ("listener", "redact", "reference", "n", "seed")}
        path = out / "settings.json"
        if path.exists() and json.loads(path.read_text()) != self.settings:
            raise RedactError(f"{path} names other settings; give another --out or remove it.")
        write_whole(path, json.dumps(self.settings, allow_nan=False).encode())

    @property
    def found(self) -> list[dict]:
        """Finished cells: the curve by weight, then the choices."""
        cells = [json.loads(path.read_text()) for path in (self.out / "cells").glob("*.json")]
        order = ["base", *CHOICES, "context"]
        return sorted(
            cells, key=lambda own: (order.index(own["name"]) > 0, own["weight"], order.index(own["name"]))
        )

    def cell(self, key: tuple[str, float], settings: dict) -> None:
        """Draw and judge every group, unless that was done."""
        name, weight = key
        path = self.out / "cells" / f"{name} {weight:g}.json"
        if path.exists():
            return
        model = DualLatent(self.base, weight=weight, **settings)
        own: dict = {"name": name, "weight": weight}
        shown: list[Tensor] = []
        for group in GROUPS if name in ("base", "context") else ("redacted", "neighbours"):
            rows = self.groups[group]
            made = model.generate([row.condition for row in rows], seeds=[row.seed for row in rows])
            seen = self.judge(made).concepts
            own[group] = sum(a == row.labels["concept"] for a, row in zip(seen, rows, strict=True)), len(rows)
            if group == "redacted":
                hits = sum(a == self.settings["reference"] for a in seen)
                own["reference"] = hits, len(rows)
            shown += made[:2]
        if name == "base":
            write_whole(self.out / f"{weight:g}.safetensors", save({"pictures": torch.stack(shown)}))
        write_whole(path, json.dumps(own, allow_nan=False).encode())
        print(own, flush=True)

    def pictures(self, weight: float) -> list[Tensor]:
        return list(load_file(self.out / f"{weight:g}.safetensors")["pictures"])


def balance(own: dict, plain: dict) -> float:
    leak = own["redacted"][0] / max(1, plain["redacted"][0])
    groups = [g for g in ("neighbours", "retained") if g in own]
    return removal_balance(
        1 - leak, sum(own[g][0] for g in groups) / max(1, sum(plain[g][0] for g in groups))
    )


def table(found: Sequence[dict]) -> ResultTable:
    plain = next(one for one in found if one["weight"] == 0)
    rows: list[list[Cell]] = []
    for own in found:
        rates = [wilson(*own.get(key, (0, 0))) for key in ("redacted", "reference", "neighbours", "retained")]
        name = "each leads itself" if own["name"] == "base" else own["name"]
        rows.append([name, f"{own['weight']:g}", *rates, f"{balance(own, plain):.2f}"])
    return ResultTable(["", "weight", "leak", "reference", "near", "far", "balance"], rows)


def sheet(study: Study, weights: Sequence[float], path: Path, side: int = 64, gap: int = 6) -> None:
    """A column for each weight: two pictures of each group, and the group's rate below them."""
    left, top, text = 90, 22, 18
    block = 2 * (side + gap) + text
    image = Image.new("RGB", (left + len(weights) * (side + gap), top + len(GROUPS) * block), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    cells = {one["weight"]: one for one in study.found if one["name"] == "base"}
    for j, weight in enumerate(weights):
        x, shown = left + j * (side + gap), study.pictures(weight)
        pen.text((x, 4), f"w = {weight:g}", "black", font)
        for k, (group, head) in enumerate(GROUPS.items()):
            y = top + k * block
            if j == 0:
                pen.text((4, y + side // 2), group, "black", font)
                pen.text((4, y + block - text), head, "black", font)
            for i, picture in enumerate(shown[2 * k : 2 * k + 2]):
                pixels = to_bytes(picture.permute(1, 2, 0)).numpy()
                tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
                image.paste(tile, (x, y + i * (side + gap)))
            hits, n = cells[weight][group]
            pen.text((x, y + block - text), f"{100 * hits / n:.0f} %", "black", font)
    image.save(path)


if __name__ == "__main__":
    with one_line(), torch.no_grad():
        main()
