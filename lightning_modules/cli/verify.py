"""``redact verify``: does a folder hold what its card or its receipt says, and does it do so?"""

from __future__ import annotations

import importlib
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_modules.cli.hints import Parser
from lightning_modules.support.output import say
from redact_core.artefacts import receipt as receipts
from redact_core.artefacts.card import FILE as CARD
from redact_core.artefacts.card import RedactionCard, digest
from redact_core.artefacts.disclosure import read_key
from redact_core.errors import RedactError
from redact_core.support.folders import sha256
from redact_core.support.paths import at_home

_GATING, _UNIT_GATING = "redact_core.gates.gating.Gating", "redact_core.gates.unit_gating.UnitGating"
_SPEECH = "modalities.text_to_speech"
_SECONDS = 6.0
"""Of a clip that a SpeakerEncoder takes."""
ENCODERS = {
    f"{_SPEECH}.adapters.speaker_encoder.SpeakerEncoder": _SECONDS, f"{_SPEECH}.adapters.speecht5.SpeechT5": 2.0,
}  # fmt: skip
"""Adapters, as cards name them, whose redacted encoders and gates a SpeakerEncoder reads: seconds of a clip that they take."""
_NOT_GATED = (
    "{} has no gates behind a speaker encoder, so whether it redacts listed clips cannot be told; leave --list out, "
    "or ask 'redact evaluate'."
)


def verify(arguments: Sequence[str]) -> None:
    """Compare a folder with its card and its receipt, and print one line.

    Raises:
        RedactError: Something differs; it says what.
    """
    parser = Parser(
        "verify",
        "Check a redacted folder against its card and its receipt of withdrawals: every hash, that "
        "gates are there, and, with --list, that the clips were withdrawn and are changed. The status is 0 if all "
        "holds, else 2.",
    )
    options(parser)
    config = parser.parse_args(list(arguments))
    folder = at_home(config.folder)
    found: list[str] = []
    gates, card, receipt, seconds = 0, None, None, None
    if (folder / CARD).is_file():
        card = RedactionCard.read(folder)
        _refuse(folder, "card", [p for p in card.verify(folder) if not p.startswith(f"{receipts.FILE} ")])
        found.append(f"{len(card.files)} files match the card of {card.created}")
        objectives = {str(one["method"].get("objective")) for one in card.redactions}
        seconds = ENCODERS.get(str(card.method.get("adapter")))
        if _GATING in objectives and seconds:
            gates = 1
        elif objectives & {_GATING, _UNIT_GATING}:
            found.append("its gates were not looked for, hashes alone were compared")
    if (folder / receipts.FILE).is_file():
        receipt = receipts.read_receipt(folder)
        _refuse(folder, "receipt", receipts.receipt_problems(folder, receipt))
        gates = max(gates, receipt["gates"])
        found.append(f"{len(receipt['files'])} files match the receipt of {receipt['created']}")
    if not found:
        raise RedactError(
            f"{folder} has neither {CARD} nor {receipts.FILE}; give a folder that redact wrote."
        )
    if config.list and not (seconds or receipt):
        raise RedactError(_NOT_GATED.format(folder))
    if gates or config.list:
        # the packages of modalities are named and never imported here
        speech = importlib.import_module(_SPEECH)
        seconds = config.seconds if config.seconds is not None else seconds or _SECONDS
        model = speech.SpeakerEncoder(str(folder), config.keep, seconds)
        there = len(getattr(model.encoder, "gates", ()))
        if there < gates:
            raise RedactError(
                f"{folder} holds {there} gates where {gates} are told of; the redaction is undone."
            )
        if not there:
            raise RedactError(_NOT_GATED.format(folder))
        found.append(f"{there} gates are there")
        if config.list:
            found += _withdrawn(model, receipts.read_withdrawals(config.list), card, receipt, config.key)
    say(f"{folder}: " + "; ".join(found) + ".")


def options(parser: ArgumentParser) -> None:
    """Of ``redact verify``."""
    parser.add_argument("folder", type=Path, help="Folder that redact fit or withdraw_voices.py wrote.")
    parser.add_argument(
        "--list", type=Path, help="CSV file with the columns id,clip: clips that were withdrawn."
    )
    parser.add_argument(
        "--keep", type=Path, help="Folder with a subfolder of clips for each person who stays."
    )
    parser.add_argument(
        "--seconds", type=float, help="Of each clip, as many as the redaction took (--model.adapter.seconds); default: 6, for SpeechT5 2.",
    )  # fmt: skip
    parser.add_argument("--key", type=Path, help="Of a card that lists its request as digests; with --list.")


def _withdrawn(
    model: Any, gone: Mapping[str, Sequence[Path]], card: RedactionCard | None, receipt: dict[str, Any] | None, key: Path | None,
) -> list[str]:  # fmt: skip
    """Were the clips of ``gone`` withdrawn, and are they changed while those who stay are not?"""
    from redact_core.gates.measuring import changed

    clips = [clip for some in gone.values() for clip in some]
    strange = receipts.unlisted(receipt, gone) if receipt else []
    if card is not None and key is not None:
        lists = [one["request"].get("digests") for one in card.redactions]
        digests, secret = {told for some in lists if some for told in some}, read_key(key)
        if not any(some is not None for some in lists):
            raise RedactError(
                "The card lists no digests, so there is nothing to compare by a key; leave --key out."
            )
        strange += [clip for clip in clips if digest(clip, secret) not in digests]
    if strange:
        raise RedactError(f"{strange[0]} is not among what was withdrawn; withdraw it first.")
    looked = (
        f"Of each {model.seconds:g} s were looked at; give --seconds if the redaction took another length."
    )
    for name, some in gone.items():
        same = len(some) - changed(model, some)
        if same:
            raise RedactError(
                f"{same} of {len(some)} clips of {name} pass unchanged; the folder does not redact them. {looked}"
            )
    found = [f"{len(clips)} clips of {len(gone)} withdrawn are changed"]
    gone_by_hash = {sha256(clip) for clip in clips} | (
        receipts.withdrawn_hashes(receipt) if receipt else set()
    )
    kept = [clip for some in model.bank.voices.values() for clip in some if sha256(clip) not in gone_by_hash]
    if kept:
        lost = changed(model, kept)
        if lost:
            raise RedactError(
                f"{lost} of {len(kept)} kept clips are changed; the folder does not keep them. {looked}"
            )
        found.append(f"{len(kept)} kept clips have all their bits")
    return found


def _refuse(folder: Path, what: str, problems: Sequence[str]) -> None:
    if problems:
        raise RedactError(f"{folder} does not match its {what}: " + "; ".join(problems) + ".")
