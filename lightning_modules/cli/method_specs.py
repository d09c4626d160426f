"""The methods that ``redact compare`` is told by name: objectives and guards, with their arguments."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from lightning_modules.comparison.methods import Method, Settings
from lightning_modules.support.names import path_of, places
from lightning_modules.support.near_names import meant
from lightning_modules.support.parser_words import parser_says
from lightning_modules.support.specs import build, spec_of
from redact_core import Adapter, Guard, Objective, RedactError
from redact_core.evaluation.evidence import BASE


def methods_of(entries: Sequence[object]) -> dict[str, Method]:
    """Methods by class, each with the settings that were named.

    Args:
        entries: ``Name``, ``Name: {argument: value}``, or ``{class_path: ..., init_args: ...}``. A class that is named more
            than once is one method with several settings to try.

    Raises:
        RedactError: There is no such class, it is neither an objective nor a guard, or it takes no such arguments.
    """
    tried: dict[str, list[dict[str, Any]]] = {}
    paths: dict[str, str] = {}
    for entry in entries:
        spec = _spec(entry)
        name = spec["class_path"].rpartition(".")[2]
        if name == BASE or paths.setdefault(name, spec["class_path"]) != spec["class_path"]:
            raise RedactError(f"--methods: two methods are called {name}; keep one.")
        if spec["init_args"] in tried.setdefault(name, []):
            raise RedactError(f"--methods: {name} is named twice with the same settings; keep one.")
        tried[name].append(spec["init_args"])
    return {name: _method(paths[name], settings) for name, settings in tried.items()}


def _spec(entry: object) -> dict[str, Any]:
    if isinstance(entry, str) and entry.isidentifier() and path_of(entry) is None:
        raise RedactError(
            f"--methods: there is no class {entry}{meant(entry, places())}; redact ls objectives and redact ls guards list "
            "them."
        )
    return spec_of(entry)


def _method(path: str, trials: Sequence[Settings]) -> Method:
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise RedactError(
            f"--methods: {path} cannot be imported ({error}); 'redact ls' lists what there is."
        ) from error
    if not isinstance(kind, type) or not issubclass(kind, Objective | Guard):
        raise RedactError(
            f"--methods: {name} is neither an objective nor a guard; redact ls objectives and redact ls guards list them."
        )
    if issubclass(kind, Guard):
        for settings in trials:
            _guard(path, settings)  # arguments that it does not take are refused now, not after hours
        return Method(lambda base, redacted, **s: _guard(path, s)(base), trials, guard=True)
    for settings in trials:
        build(Objective, {"class_path": path, "init_args": settings})
    return Method(lambda **s: build(Objective, {"class_path": path, "init_args": s}), trials)


def _guard(path: str, settings: Settings) -> Callable[[Adapter], Guard]:
    """What puts the guard around a model.

    Raises:
        RedactError: It takes no such arguments.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--object", type=Callable[[Adapter], Guard], required=True)
    try:
        config = parser.parse_object({"object": {"class_path": path, "init_args": dict(settings)}})
    except ArgumentError as error:
        reason = parser_says(error)
        raise RedactError(
            f"--methods: {path.rpartition('.')[2]} cannot be made: {reason}; see redact ls guards."
        ) from error
    return parser.instantiate(config)["object"]
