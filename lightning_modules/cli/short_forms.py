"""``redact fit MODEL --redact WHAT --out FOLDER``: short forms of the options, and the class of a model by its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_modules.support.names import places
from lightning_modules.support.near_names import meant
from lightning_modules.support.output import say
from lightning_modules.support.specs import spec_of
from redact_core import RedactError
from redact_core.errors import first_line
from redact_core.support.paths import at_home

SHORT: Mapping[str, tuple[str, str]] = {
    "redact": (
        "data.redact",
        "what shall no longer work: a concept, style: NAME, a voice, or a list of these",
    ),
    "reference": ("data.reference", "what is answered instead; default: what the model's class chooses"),
    "retain": (
        "data.retain",
        "where conditions that must stay come from: files, or words that the class knows",
    ),
    "lessons": ("data.lessons", "CSV or YAML file with ready rows"),
    "out": ("export.folder", "the folder to be made"),
    "method": (
        "model.objective",
        "the training method, see redact ls objectives; default: what suits the model",
    ),
    "steps": ("trainer.max_steps", "of training; default: what suits the model"),
    "lr": ("model.lr", "peak learning rate; default: what suits the method or the model"),
    "seed": ("data.seed", "of wordings, variants and order"),
    "device": ("trainer.accelerator", "cpu, gpu or auto"),
}
"""Short option -> the whole one, and what it says."""
_CLASSES: Mapping[str, str] = {
    "StableDiffusionPipeline": "StableDiffusion",
    "StableDiffusionXLPipeline": "StableDiffusionXL",
    **dict.fromkeys(
        (
            "StableDiffusion3Pipeline",
            "FluxPipeline",
            "PixArtAlphaPipeline",
            "PixArtSigmaPipeline",
            "SanaPipeline",
            "KandinskyV22PriorPipeline",
            "AuraFlowPipeline",
            "LTXPipeline",
            "WanPipeline",
            "CogVideoXPipeline",
        ),
        "PromptPipeline",
    ),
    "SpeechT5ForTextToSpeech": "SpeechT5",
    "VitsModel": "SpeakerTable",
    **dict.fromkeys(
        (
            "FastSpeech2ConformerModel",
            "FastSpeech2ConformerWithHifiGan",
            "SeamlessM4TModel",
            "SeamlessM4TForTextToSpeech",
            "SeamlessM4TForSpeechToSpeech",
            "SeamlessM4Tv2Model",
            "SeamlessM4Tv2ForTextToSpeech",
            "SeamlessM4Tv2ForSpeechToSpeech",
        ),
        "VoiceTable",
    ),
    "diffwave": "MelVocoder",
    "staged-vae": "StagedText",
    "vae": "ClassConditional",
    "unet": "ClassConditional",
}
"""What a folder's index or configuration says -> the adapter."""
_HUB_FILES = ("model_index.json", "config.json", "hyperparams.yaml")
_METHOD_ALONE = re.compile(r"--model\.objective\+?")
_METHOD = re.compile(r"(?P<option>--model\.objective\+?=)(?P<value>.*)", re.DOTALL)
_OPTION = re.compile(r"--(?P<name>\w+)(?P<rest>\+?(?:=.*)?)", re.DOTALL)


def usage(program: str) -> str:
    """The short forms, for help."""
    width = max(map(len, SHORT)) + 2
    lines = [f"  --{name:{width}}{text} (--{whole})" for name, (whole, text) in SHORT.items()]
    return "\n".join(
        [
            f"{program} fit MODEL --redact WHAT [--reference WHAT] --out FOLDER [any option below]",
            "",
            "  MODEL  bundled (the small picture model), a model's folder, a hub id, or a class with its source:",
            "         StableDiffusion bundled, SpeechT5 bundled, SpeakerTable FOLDER",
            *lines,
        ]
    )


def expanded(arguments: Sequence[str]) -> list[str]:
    """The arguments of ``fit`` with whole options in place of MODEL and of short ones.

    Args:
        arguments: The verb and what follows it.

    Raises:
        RedactError: The class of a model cannot be told from its folder, or there is no such folder.
    """
    model, rest = _apart(arguments[1:])
    whole = [_whole(token) for token in rest]
    return [*arguments[:1], *_model(model, "model.adapter"), *map(_method, ["", *whole], whole)]


def as_options(arguments: Sequence[str], option: str) -> list[str]:
    """``arguments``, without the verb, with ``--OPTION CLASS`` and its source in place of MODEL.

    Raises:
        RedactError: The class of a model cannot be told from its folder, or there is no such folder.
    """
    model, rest = _apart(arguments)
    return [*_model(model, option), *rest]


def in_short(message: str, typed: Sequence[str]) -> str:
    """``message`` with the short forms that were ``typed`` in place of the whole options."""
    for name, (whole, _) in SHORT.items():
        if any(token.partition("=")[0].rstrip("+") == f"--{name}" for token in typed):
            message = re.sub(rf"--{re.escape(whole)}(?![\w.])", f"--{name}", message)
    return message


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """At most two words that name a model, and the options behind them."""
    model, rest = list[str](), list(arguments)
    while rest and len(model) < 2 and not rest[0].startswith("-"):
        model.append(rest.pop(0))
    return model, rest


def _whole(token: str) -> str:
    option = _OPTION.fullmatch(token)
    if option is None or option["name"] not in SHORT:
        return token
    return f"--{SHORT[option['name']][0]}{option['rest']}"


def _method(before: str, token: str) -> str:
    """``token``, or, where it is a method as ``Name: {argument: value}``, the same as the parser reads it.

    ``redact compare`` and ``redact attack`` take classes with arguments in this form too.
    """
    option = _METHOD.fullmatch(token)
    if option is None and not _METHOD_ALONE.fullmatch(before):
        return token
    start, value = (option["option"], option["value"]) if option else ("", token)
    try:
        given = yaml.safe_load(value)
    except yaml.YAMLError:  # the parser says what is wrong
        return token
    if isinstance(given, Mapping):
        return start + _flow(spec_of(given))
    if isinstance(given, list) and any(isinstance(entry, Mapping) for entry in given):
        return start + _flow([spec_of(entry) for entry in given])
    return token


def _flow(value: object) -> str:
    """``value`` on one line of YAML, which unlike JSON has infinity."""
    return yaml.safe_dump(value, default_flow_style=True, width=float("inf")).strip()


def _model(given: Sequence[str], option: str) -> list[str]:
    """Options for the adapter."""
    if not given:
        return []
    name, *source = given
    if name.isidentifier() and name[:1].isupper() and not at_home(name).exists():
        if name not in places():
            raise RedactError(
                f"There is no class {name}{meant(name, _CLASSES.values())}; redact ls adapters lists them."
            )
        return [f"--{option}", name, *([f"--{option}.source", source[0]] if source else [])]
    if source:
        raise RedactError(
            f"{name} {source[0]}: give one model, as in redact fit bundled, or a class and its source, as in redact fit "
            "SpeechT5 bundled."
        )
    found = "StableDiffusion" if name == "bundled" else _detected(name)
    return [f"--{option}", found, f"--{option}.source", name]


def _detected(source: str) -> str:
    """The adapter's class for a folder or a hub id; says in a line what was found."""
    folder = at_home(source)
    if folder.is_dir():
        files = {name: folder / name for name in _HUB_FILES if (folder / name).is_file()}
    elif source.count("/") == 1 and not folder.exists() and not source.startswith((".", "/", "~")):
        files = _of_the_hub(source)
    else:
        raise RedactError(
            f"There is no folder {source}; give a model's folder, a hub id (owner/name), bundled, or a class and its source."
        )
    kind = _kind(files)
    if kind is not None and kind in _CLASSES:
        say(f"{source} holds a {kind}; it is redacted as {_CLASSES[kind]}.")
        return _CLASSES[kind]
    if kind is None and "hyperparams.yaml" in files:
        raise RedactError(
            f"{source} holds a SpeechBrain encoder, which is redacted with the model that uses it: redact fit SpeechT5 "
            f"MODEL --model.adapter.encoder {source}."
        )
    what = f"holds a {kind}, which no adapter takes" if kind else f"holds none of {', '.join(_HUB_FILES)}"
    raise RedactError(
        f"{source} {what}; name the class before the folder: redact fit CLASS {source}. redact inspect {source} lists by "
        "which paths its condition enters."
    )


def _kind(files: Mapping[str, Path]) -> str | None:
    """What the index of a pipeline or the configuration of a model says that it is."""
    if "model_index.json" in files:
        return str(_values(files["model_index.json"]).get("_class_name"))
    if "config.json" not in files:
        return None
    values = _values(files["config.json"])
    named = values.get("architectures") or [values.get("architecture") or values.get("model_type")]
    return str(named[0]) if isinstance(named, list) and named and named[0] else None


def _values(path: Path) -> dict[str, Any]:
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RedactError(f"{path} cannot be read as JSON; fetch the folder again.") from error
    return values if isinstance(values, dict) else {}


def _of_the_hub(source: str) -> dict[str, Path]:
    """The small files by which a model of the hub is known."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    found: dict[str, Path] = {}
    for name in _HUB_FILES:
        try:
            found[name] = Path(hf_hub_download(source, name))
            break
        except Exception as error:  # the hub's own errors come from several libraries
            # the latter, a kind of the former, says that the hub could not be asked
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue
            reason = first_line(error).partition(" (")[0]
            raise RedactError(
                f"{source} is neither a folder here nor could it be looked up on the hub ({reason}); check the name and "
                f"the connection, or name the class: redact fit CLASS {source}."
            ) from error
    return found
