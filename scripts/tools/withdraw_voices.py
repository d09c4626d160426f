"""Carry out a list of withdrawals: a gate for each person, a folder, and a receipt that can be verified.

    python scripts/tools/withdraw_voices.py --encoder resemblyzer --list withdrawals.csv --keep PEOPLE --out OUT
    python scripts/tools/withdraw_voices.py --verify OUT

The list is a CSV file with the columns ``id,clip``, a line for each clip; paths are relative to it. KEEP holds the people
who stay, a subfolder each. OUT is an ordinary folder of the encoder's library with ``receipt.json``: for each id its
clips and their SHA-256, whether the gate opens for all of them, the bound on the likeness of any output; the hashes of all
files; and that every kept clip goes through with all its bits. Run again with another list on OUT (--encoder OUT) for later
withdrawals: gates of earlier ones stay, and their clips are not needed.

``--verify`` compares the files with the receipt; with --list and --keep it also embeds the clips again.
"""

import argparse
import csv
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import torch

from modalities.sound.bank import VoiceBank
from modalities.text_to_speech import SpeakerEncoder
from redact_core import Lesson, Mean, RedactError, redact
from redact_core.gates import Gating, around_gates
from redact_core.support.folders import hashes, new_folder

RECEIPT = "receipt.json"


def read_list(path: Path) -> dict[str, list[Path]]:
    """Id -> clips.

    Raises:
        RedactError: Columns are missing, or clips that are named are not there.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"id", "clip"} <= set(reader.fieldnames or ()):
            raise RedactError(f"{path}: the first line must name the columns id, clip.")
        found: dict[str, list[Path]] = {}
        for row in reader:
            found.setdefault(row["id"].strip(), []).append(path.parent / row["clip"].strip())
    missing = [str(clip) for clips in found.values() for clip in clips if not clip.is_file()]
    if missing:
        raise RedactError(f"{path}: there is no file {missing[0]}, and {len(missing) - 1} more are missing.")
    if not found:
        raise RedactError(f"{path} names nobody; give a line for each clip.")
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@torch.no_grad()
def measured(model: SpeakerEncoder, gone: dict[str, list[Path]], kept: list[Path]) -> dict:
    """Which clips are answered by somebody else, and whether what stays keeps its bits."""

    def changed(clips: list[Path]) -> list[bool]:
        before, behind, _ = around_gates(model.encoder, model.collate(clips))
        return (before != behind).any(1).tolist()

    answered = {name: sum(changed(clips)) for name, clips in gone.items()}
    altered = sum(sum(changed(kept[i : i + 32])) for i in range(0, len(kept), 32))
    return {
        "clips answered by somebody else": answered,
        "kept clips": len(kept),
        "kept clips changed": altered,
    }


def verify(args: argparse.Namespace) -> None:
    receipt = json.loads((args.verify / RECEIPT).read_text(encoding="utf-8"))
    now = {name: value for name, value in hashes(args.verify).items() if name != RECEIPT}
    problems = [
        name for name in sorted({*now, *receipt["files"]}) if now.get(name) != receipt["files"].get(name)
    ]
    if problems:
        raise RedactError(f"{args.verify} does not match its receipt: {', '.join(problems)}.")
    print(f"{len(now)} files match the receipt of {receipt['created']}.")
    if args.list is None:
        return
    gone = read_list(args.list)
    for name, clips in gone.items():
        told = {entry["sha256"] for entry in receipt["withdrawn"].get(name, {}).get("clips", [])}
        strange = [str(clip) for clip in clips if sha256(clip) not in told]
        if strange:
            raise RedactError(f"{name}: {strange[0]} is not in the receipt; withdraw it first.")
    kept = [clip for clips in VoiceBank(args.keep).voices.values() for clip in clips]
    found = measured(SpeakerEncoder(str(args.verify)), gone, kept)
    if found["kept clips changed"] or any(
        n < len(gone[name]) for name, n in found["clips answered by somebody else"].items()
    ):
        raise RedactError(
            f"{args.verify} does not do what its receipt says: {json.dumps(found, allow_nan=False)}"
        )
    print(json.dumps(found, allow_nan=False))


def withdraw(args: argparse.Namespace) -> None:
    gone = read_list(args.list)
    model = SpeakerEncoder(args.encoder)
    kept = [clip for clips in VoiceBank(args.keep).voices.values() for clip in clips]
    named = {clip.resolve() for clips in gone.values() for clip in clips}
    kept = [clip for clip in kept if clip.resolve() not in named]
    bounds = {}
    for name, clips in gone.items():
        objective = Gating()
        lessons = [Lesson.redact(clip, Mean(tuple(kept))) for clip in clips] + [
            Lesson.retain(clip) for clip in kept
        ]
        redact(model, lessons, objective=objective)
        bounds[name] = [found.cell.bound(found.gate.answer) for found in objective.fitted]
    with new_folder(args.out) as part:
        model.save(part)
        receipt = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "encoder": args.encoder,
            "withdrawn": {
                name: {
                    "clips": [{"name": clip.name, "sha256": sha256(clip)} for clip in clips],
                    "likeness of any output at most": max(bounds[name]),
                }
                for name, clips in gone.items()
            },
            "measured": measured(model, gone, kept),
            "files": hashes(part),
        }
        earlier = Path(args.encoder) / RECEIPT
        if earlier.is_file():
            receipt["earlier"] = json.loads(earlier.read_text(encoding="utf-8"))
        (part / RECEIPT).write_text(json.dumps(receipt, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(json.dumps(receipt["measured"], allow_nan=False))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="resemblyzer")
    parser.add_argument("--list", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--verify", type=Path, metavar="OUT")
    args = parser.parse_args()
    if args.verify is None and not (args.list and args.keep and args.out):
        parser.error("give --list, --keep and --out; or --verify")
    if args.verify is not None and (args.list is None) != (args.keep is None):
        parser.error("--verify takes --list and --keep together")
    try:
        verify(args) if args.verify else withdraw(args)
    except RedactError as error:
        raise SystemExit(f"withdraw_voices: {error}") from error


if __name__ == "__main__":
    main()
