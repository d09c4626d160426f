"""What keeps an evidence folder from being gone on with: all that differs from how it was begun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redact_core.adapters.base import Adapter


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Every difference of two manifests, as ``evidence.json`` keeps them, in words; the last one says what to do.

    Plan, models with files, weights and settings, conduct, and attacks with their seed are compared.
    """
    problems: list[str] = []
    if old["plan"] != new["plan"]:
        problems.append(f"the plan was {old['plan'][:12]} and is {new['plan'][:12]}")
    if list(old["models"]) != list(new["models"]):
        problems.append(f"the models were {', '.join(old['models'])} and are {', '.join(new['models'])}")
    for name in [name for name in new["models"] if name in old["models"]]:
        problems += _of_model(name, old["models"][name], new["models"][name])
    problems += [
        f"{key} was {_short(old['conduct'][key])} and is {_short(value)}"
        for key, value in new["conduct"].items()
        if old["conduct"][key] != value
    ]
    if new["attacks"] and old.get("seed") != new["seed"]:  # half a search of each would pass for one
        known = "not recorded" if old.get("seed") is None else old["seed"]
        problems.append(f"the seed of the attacks was {known} and is {new['seed']}")
    before = old.get("attacks", {})
    problems += [
        f"the attack {name} was {_short(before.get(name, 'absent'))} and is {_short(new['attacks'].get(name, 'absent'))}"
        for name in {**before, **new["attacks"]}
        if before.get(name) != new["attacks"].get(name)
    ]
    if problems:
        problems[-1] += "; give another --out, or what it was begun with."
    return problems


def _of_model(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    files = {**old["files"], **new["files"]}
    changed = [file for file in files if old["files"].get(file) != new["files"].get(file)]
    found = [f"{name} has other files ({', '.join(changed[:4])})"] if changed else []
    if not changed and old["encoder"] != new["encoder"]:
        found.append(f"{name} has other weights")
    # earlier versions took what a model had noted of a request for settings
    keys = [key for key in {**old["settings"], **new["settings"]} if key not in Adapter.noted]
    settings = [key for key in keys if old["settings"].get(key) != new["settings"].get(key)]
    if settings or old["class"] != new["class"]:
        found.append(f"{name} has other settings ({', '.join(settings) or new['class']})")
    return found


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {entry}" for key, entry in value.items())
    return str(value)
