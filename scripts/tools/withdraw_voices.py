"""Carry out a list of withdrawals: a gate for each person, a folder, and a receipt that can be verified.

    python scripts/tools/withdraw_voices.py --encoder resemblyzer --list withdrawals.csv --keep PEOPLE --out OUT
    redact verify OUT --list withdrawals.csv --keep PEOPLE

The list is a CSV file with the columns ``id,clip``, a line for each clip; paths are relative to it. KEEP holds the people
who stay, a subfolder each. OUT is an ordinary folder of the encoder's library with ``receipt.json``: for each id its
clips and their SHA-256, how many the gates change, the bound on the likeness of any output; the hashes of all
files; that every kept clip goes through with all its bits; and the CPU seconds from the list to the measures. Run again with another list on OUT (--encoder OUT) for later
withdrawals: gates of earlier ones stay, and their clips are not needed; those in KEEP do not stay. Whoever was withdrawn before, with
the same clips, gets no second gate; where nobody on the list is new, the new folder is a copy of the old one.

``redact verify OUT`` compares the files with the receipt; with --list and --keep it also embeds the clips again.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightning_modules.support.one_line import one_line
from modalities.sound.bank import VoiceBank
from modalities.text_to_speech import SpeakerEncoder
from redact_core import Lesson, Mean, RedactError, redact
from redact_core.artefacts.history import read_history
from redact_core.artefacts.receipt import (
    FILE,
    read_receipt,
    read_withdrawals,
    receipt_problems,
    unlisted,
    withdrawn_hashes,
)
from redact_core.gates import GatedEncoder, Gating
from redact_core.gates.measuring import withdrawal_measures
from redact_core.support.folders import hashes, new_folder, sha256


def close(
    model: SpeakerEncoder, gone: Mapping[str, Sequence[Path]], kept: Sequence[Path]
) -> dict[str, float]:
    """Put gates for all of ``gone`` behind the encoder; for each id that got one the bound on the likeness of any output.

    All ids at once, so that each clip that stays is embedded once. ``Gating`` makes a gate for each answer, and for each
    folder of its clips; the clips that stay, beginning elsewhere for each id and several times over where there are more ids, are
    another answer with the same mean.
    """
    objective = Gating()
    lessons = [Lesson.retain(clip) for clip in kept]
    for i, clips in enumerate(gone.values()):
        times, first = divmod(i, len(kept))
        answer = Mean((*kept[first:], *kept[:first]) * (times + 1))
        lessons += [Lesson.redact(clip, answer) for clip in clips]
    redact(model, lessons, objective=objective)
    found: dict[str, float] = {}
    for name, clips in gone.items():
        gates = {id(x): x for clip in clips if (x := objective.fitted_for.get(clip))}
        if gates:
            found[name] = max(x.cell.bound(x.gate.answer) for x in gates.values())
    return found


def copy_of(folder: Path, receipt: Mapping[str, Any], out: Path) -> None:
    """Write ``folder`` again, bit by bit, where nobody new is withdrawn.

    Raises:
        RedactError: Its files are not those of its receipt, or ``out`` cannot be written.
    """
    if problems := receipt_problems(folder, receipt):
        raise RedactError(f"{folder} does not match its receipt: {'; '.join(problems)}.")
    with new_folder(out) as part:
        for name in (*receipt["files"], FILE):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, part / name)
    print(f"Nobody on the list is new: {out} is a copy of {folder}.", file=sys.stderr)
    print(json.dumps(receipt["measured"], allow_nan=False))


def withdraw(args: argparse.Namespace) -> None:
    began = time.process_time()
    listed = read_withdrawals(args.list)
    folder = Path(args.encoder)
    earlier = read_receipt(folder) if (folder / FILE).is_file() else None
    fresh = (
        set(unlisted(earlier, listed)) if earlier else {clip for clips in listed.values() for clip in clips}
    )
    gone = {name: clips for name, clips in listed.items() if fresh.intersection(clips)}
    if known := [name for name in listed if name not in gone]:
        print(f"Withdrawn before and left as they are: {', '.join(known)}.", file=sys.stderr)
    if earlier and not gone:
        copy_of(folder, earlier, args.out)
        return
    model = SpeakerEncoder(args.encoder)
    kept = [clip for clips in VoiceBank(args.keep).voices.values() for clip in clips]
    named = {clip.resolve() for clips in listed.values() for clip in clips}
    before = withdrawn_hashes(earlier) if earlier else set()
    kept = [clip for clip in kept if clip.resolve() not in named and not (before and sha256(clip) in before)]
    if not kept:
        raise RedactError(
            f"Nobody in {args.keep} stays besides those on the list{' and on earlier ones' if before else ''}; give clips of people who do."
        )
    card = read_history(folder).card
    bounds = close(model, gone, kept)
    with new_folder(args.out) as part:
        model.save(part)
        receipt = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "encoder": args.encoder,
            "withdrawn": {
                name: {
                    "clips": [{"name": clip.name, "sha256": sha256(clip)} for clip in clips],
                    **({"likeness of any output at most": bounds[name]} if name in bounds else {}),
                }
                for name, clips in gone.items()
            },
            "measured": withdrawal_measures(model, gone, kept),
            "CPU seconds": round(time.process_time() - began, 1),
            "gates": len(model.encoder.gates) if isinstance(model.encoder, GatedEncoder) else 0,
            "files": hashes(part),
        }
        if earlier:
            receipt["earlier"] = earlier
        if card is not None:
            receipt["card"] = asdict(card)
        (part / FILE).write_text(json.dumps(receipt, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(json.dumps(receipt["measured"], allow_nan=False))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="resemblyzer")
    parser.add_argument("--list", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    withdraw(parser.parse_args())


if __name__ == "__main__":
    with one_line():
        main()
