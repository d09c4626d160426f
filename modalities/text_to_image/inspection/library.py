"""What a pipeline class of the installed diffusers accepts, read from its source and not imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

_LOADABLE = r"^class {name}\(.*?^    _lora_loadable_modules = (\[[^\]]*\])"


@dataclass(frozen=True)
class PipelineClass:
    """One class of diffusers, by its source."""

    name: str
    loaders: tuple[str, ...]
    """Names of the classes that it inherits from."""
    arguments: tuple[str, ...]
    """Of its call."""
    own_encoding: bool
    """It has ``encode_prompt``."""

    @property
    def image_prompts(self) -> bool:
        """It has ``load_ip_adapter``."""
        return any(name.endswith("IPAdapterMixin") for name in self.loaders)

    @property
    def learned_tokens(self) -> bool:
        """It has ``load_textual_inversion``."""
        return "TextualInversionLoaderMixin" in self.loaders

    @property
    def lora_parts(self) -> tuple[str, ...]:
        """Parts that ``load_lora_weights`` changes; empty where it has no such method."""
        mixin = next((name for name in self.loaders if name.endswith("LoraLoaderMixin")), None)
        return () if mixin is None else _loadable(mixin)


@lru_cache(maxsize=8)
def pipeline_class(name: str) -> PipelineClass | None:
    """The class of this name; ``None`` where the installed diffusers has none."""
    if not name.isidentifier():
        return None
    for path in _sources():
        text = path.read_text(encoding="utf-8")
        if f"class {name}(" not in text:
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                methods = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
                call = methods.get("__call__")
                arguments = [one.arg for one in (*call.args.args, *call.args.kwonlyargs)] if call else []
                bases = tuple(base.id for base in node.bases if isinstance(base, ast.Name))
                return PipelineClass(name, bases, tuple(arguments), "encode_prompt" in methods)
    return None


def _home() -> Path | None:
    spec = find_spec("diffusers")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _sources() -> Iterator[Path]:
    home = _home()
    if home is not None:
        yield from sorted((home / "pipelines").rglob("pipeline_*.py"))


@lru_cache(maxsize=8)
def _loadable(mixin: str) -> tuple[str, ...]:
    home = _home()
    source = home / "loaders" / "lora_pipeline.py" if home else None
    if source is None or not source.is_file():
        return ()
    text = source.read_text(encoding="utf-8")
    found = re.search(_LOADABLE.format(name=re.escape(mixin)), text, re.DOTALL | re.MULTILINE)
    constants = re.findall(r'(\w+_NAME) = "(\w+)"', text)
    names = dict(constants)
    if found is None:
        return ()
    return tuple(
        names.get(one.strip(), one.strip().strip("\"'"))
        for one in found[1].strip("[]").split(",")
        if one.strip()
    )
