"""A SpeechBrain folder's ``hyperparams.yaml``, read without HyperPyYAML, which calls whatever a tag names.

The tree is composed, checked and built here. No other parser sees the text, so that what is checked is what is
built. Only the classes of :mod:`.encoder_classes` are built, and only where something asks for them.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

from hyperpyyaml.core import parse_arithmetic
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    NodeEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from modalities.text_to_speech.encoders.encoder_classes import APPLIED, CALLED, NAMED
from redact_core import RedactError

HPARAMS = "hyperparams.yaml"
PRETRAINER = "speechbrain.utils.parameter_transfer.Pretrainer"
_CORE = "tag:yaml.org,2002:"
_PLAIN = {f"{_CORE}{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")}
_REFERENCE = re.compile(r"<[^>]*>")
_PLACE = re.compile(r"<([^<>\[\].]+(?:\[[^<>\[\].]+\])*)>")
_TUPLE = re.compile(r"\((\s*[-+.\w]+\s*(?:,\s*[-+.\w]+\s*)*,?\s*)?\)")
_ARITHMETIC = re.compile(r"[-+*/%.()\s\d]+(?:e-?\d+)?[-+*/%.()\s\d]*")
_TEXT = re.compile(r"[-\w\s./:@+,=]*")
_LONGEST, _DEEPEST = 200, 50


class EncoderSettings:
    """The checked tree of a file.

    Args:
        path: Of ``hyperparams.yaml``.

    Raises:
        RedactError: The file cannot be read as one YAML document, or a tag, a class or an argument in it is none
            that a speaker encoder needs; the message names it and its line.
    """

    def __init__(self, path: Path):
        self.path = path
        self._built: dict[int, Any] = {}
        self._open: list[int] = []
        try:
            self._tree = self._compose(path.read_text(encoding="utf-8-sig"))
            self._check(self._tree, ())
        except (OSError, UnicodeDecodeError, YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None) if isinstance(error, MarkedYAMLError) else None
            where = f" line {mark.line + 1}" if mark else ""
            raise RedactError(f"{path}{where}: cannot be read as YAML; fetch the folder again.") from error

    def build(self, *place: str) -> Any:
        """What stands at a place of the tree, e.g. ``build("modules", "embedding_model")``; made once.

        Raises:
            RedactError: There is no such place.
        """
        try:
            return self._build(self._find(self._tree, list(place), self._tree))
        except RecursionError as error:
            raise RedactError(f"{self.path}: is nested too deep; fetch the folder again.") from error

    def built(self, *place: str) -> Any | None:
        """The same, if it was built already."""
        return self._built.get(id(self._target(self._find(self._tree, list(place), self._tree))))

    def loadables(self) -> dict[str, str]:
        """Names of ``pretrainer.loadables`` -> what ``pretrainer.paths`` says of each, else nothing."""
        settings = self._entries(self._find(self._tree, ["pretrainer"], self._tree))
        if not isinstance(settings.get("loadables"), MappingNode):
            raise RedactError(
                f"{self.path}: pretrainer names no loadables; give the folder of a speaker encoder."
            )
        paths = settings.get("paths")
        said = self._entries(paths) if isinstance(paths, MappingNode) else {}
        return {
            name: str(self._build(said[name])) if name in said else ""
            for name in self._entries(settings["loadables"])
        }

    def holds_tensors(self, loadable: str) -> bool:
        """Whether a loadable's file holds tensors; a label encoder's is text."""
        node = self._target(self._find(self._tree, ["pretrainer", "loadables", loadable], self._tree))
        return not _tag(node).endswith(".CategoricalEncoder")

    def _compose(self, text: str) -> MappingNode:
        documents = depth = 0
        for event in YAML(typ="safe", pure=True).parse(text):
            line = event.start_mark.line + 1 if event.start_mark else 0
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > _DEEPEST:
                self._refuse(line, f"more than {_DEEPEST} levels", "no speaker encoder needs so many")
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if event.version or event.tags:
                    self._refuse(line, "a directive", "remove it")
                if documents > 1:
                    self._refuse(line, "a second document", "remove it")
            elif isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
                self._refuse(line, "an anchor or alias", "repeat what it stands for, or use !ref <name>")
        node: Any = YAML(typ="safe", pure=True).compose(text)
        if not isinstance(node, MappingNode):
            raise RedactError(f"{self.path}: is no mapping; fetch the folder again.")
        return node

    def _check(self, node: Node, place: tuple[str, ...]) -> None:
        """Refuse every node that is none of those that are known, whether or not something asks for it."""
        tag = _tag(node)
        kind, _, name = tag.partition(":")
        if tag in {"!ref", "!copy"} and isinstance(node, ScalarNode):
            self._resolve(node)
        elif kind in {"!new", "!name"} and name in (CALLED if kind == "!new" else NAMED):
            if isinstance(node, ScalarNode) and node.value.strip():
                self._refuse(
                    _line(node), f"{node.value!r:.40} after {tag}", "give a mapping or a list of arguments"
                )
            if name == PRETRAINER:
                self._check_pretrainer(node)
        elif kind == "!apply" and name in APPLIED and isinstance(node, MappingNode):
            pass  # its arguments are checked below; nothing asks for its result
        elif kind in {"!new", "!name", "!apply", "!applyref", "!module"}:
            self._refuse(
                _line(node),
                f"the tag {tag}",
                f"it would call {name}; only {_said(kind)} of speaker encoders are taken",
            )
        elif tag not in _PLAIN | {"!tuple"}:
            self._refuse(_line(node), f"the tag {tag}", "only !new, !name, !ref and !copy are taken")
        if isinstance(node, MappingNode):
            for key, value in self._entries(node).items():
                self._check(value, (*place, key))
        elif isinstance(node, SequenceNode):
            for i, value in enumerate(node.value):
                self._check(value, (*place, str(i)))
        elif isinstance(node, ScalarNode) and tag not in {"!ref", "!copy"}:
            self._scalar(node)

    def _check_pretrainer(self, node: Node) -> None:
        """It also calls hooks and conditions, and fetches from the web."""
        if not isinstance(node, MappingNode):
            self._refuse(_line(node), "a Pretrainer without names of its arguments", "write loadables: {...}")
        for key, value in self._entries(node).items():
            if key not in {"loadables", "paths", "collect_in"}:
                self._refuse(
                    _line(value), f"the argument {key} of Pretrainer", "only loadables and paths are taken"
                )
            if key == "paths" and not isinstance(value, MappingNode):
                self._refuse(_line(value), "paths that are no mapping", "write name: path")
            for path in value.value if key == "paths" else ():
                self._check_path(path[1])
            if key == "collect_in":
                self._check_path(value)

    def _check_path(self, node: Node) -> None:
        """An address of the web is refused even where the file lies in the folder: other tools would ask for it."""
        text = str(self._resolve(node) if _tag(node) in {"!ref", "!copy"} else getattr(node, "value", ""))
        if "://" in text or text.startswith(("http:", "https:", "file:", "//")):
            self._refuse(
                _line(node), f"the address {text}", "put the file into the folder and remove its path"
            )
        if ".." in Path(text).parts:
            self._refuse(_line(node), f"the path {text}", "it leads out of the folder")

    def _entries(self, node: Node) -> dict[str, Node]:
        """The values of a mapping by key; keys are plain and different."""
        found: dict[str, Node] = {}
        for key, value in cast(
            "list[tuple[Node, Node]]", node.value if isinstance(node, MappingNode) else []
        ):
            if not isinstance(key, ScalarNode) or _tag(key) not in _PLAIN:
                self._refuse(_line(key), f"the key {_shown(key)}", "keys are plain words")
            if key.value in found:
                self._refuse(_line(key), f"the key {_shown(key)} a second time", "remove one")
            found[str(key.value)] = value
        return found

    def _find(self, node: Node, place: Sequence[str], asked: Node) -> Node:
        for part in place:
            node = self._target(node)
            entries = self._entries(node)
            if part not in entries:
                raise RedactError(
                    f"{self.path} line {_line(asked)} asks for {'.'.join(place)}, which the file does not hold; "
                    "give the folder of a speaker encoder."
                )
            node = entries[part]
        return node

    def _target(self, node: Node) -> Node:
        """The node that stands at the end of a chain of whole references."""
        steps = 0
        while _tag(node) == "!ref" and isinstance(node, ScalarNode) and _PLACE.fullmatch(node.value.strip()):
            steps += 1
            if steps > 100:
                self._refuse(_line(node), f"the reference {node.value}", "it refers to itself")
            node = self._find(self._tree, _parts(node.value.strip()), node)
        return node

    def _resolve(self, node: Node) -> Any:
        """The node that a whole reference means; what a text with references in it becomes."""
        assert isinstance(node, ScalarNode)
        text = node.value.strip()
        if _PLACE.fullmatch(text):
            return self._target(self._find(self._tree, _parts(text), node))
        if id(node) in self._open:
            self._refuse(_line(node), f"the reference {text}", "it refers to itself")
        self._open.append(id(node))
        try:
            said = _REFERENCE.sub(lambda match: self._inserted(match[0], node), text)
        finally:
            self._open.pop()
        return self._made_of(said, node)

    def _inserted(self, reference: str, node: Node) -> str:
        if not _PLACE.fullmatch(reference):
            self._refuse(_line(node), f"the reference {reference}", "write <name> or <name[part]>")
        target = self._find(self._tree, _parts(reference), node)
        value = target
        if isinstance(target, ScalarNode):
            value = self._resolve(target) if _tag(target) == "!ref" else self._scalar(target)
        if isinstance(value, ScalarNode):
            value = self._scalar(value)
        if not isinstance(value, str | int | float):
            self._refuse(
                _line(node), f"the reference {reference} inside a text", "it must mean a word or a number"
            )
        if isinstance(value, str) and not _TEXT.fullmatch(value):
            self._refuse(
                _line(node), f"{value!r:.60} inside a text", "it holds letters that could be read as code"
            )
        return str(value)

    def _made_of(self, text: str, node: Node) -> Any:
        """A text after insertion: a number, or itself."""
        if "**" not in text and len(text) <= _LONGEST and _ARITHMETIC.fullmatch(text):
            try:
                value = parse_arithmetic(text)  # numbers and + - * / // % of them
            except ArithmeticError:
                value = None
            if isinstance(value, int | float):
                return value
        if not _TEXT.fullmatch(text):
            self._refuse(
                _line(node), f"the text {text!r:.60} of a reference", "only paths and sums are taken"
            )
        return text

    def _scalar(self, node: ScalarNode) -> Any:
        """The value of a plain scalar; HyperPyYAML would read a text in brackets with a loader that runs code."""
        text, tag = str(node.value), _tag(node)
        bare = text.strip()
        if tag == "!tuple" or (bare.startswith("(") and bare.endswith(")")):
            if not _TUPLE.fullmatch(bare):
                self._refuse(_line(node), f"the text {text!r:.60}", "a tuple holds plain words and numbers")
            return self._tuple(bare)
        try:
            return _value(text, tag.removeprefix(_CORE))
        except ValueError:
            self._refuse(_line(node), f"{text!r:.40}", f"it is no {tag.removeprefix(_CORE)}")

    @staticmethod
    def _tuple(text: str) -> tuple[Any, ...]:
        items = [item.strip() for item in text[1:-1].split(",")]
        return tuple(_guess(item) for item in items if item)

    def _build(self, node: Node) -> Any:
        if _tag(node) == "!copy":
            target = self._resolve(node)
            return deepcopy(self._build(target)) if isinstance(target, Node) else target
        if _tag(node) == "!ref":
            target = self._resolve(node)
            if not isinstance(target, Node):
                return target
            node = target
            if _tag(node) in {"!ref", "!copy"}:
                return self._build(node)
        if id(node) in self._built:
            return self._built[id(node)]
        if id(node) in self._open:
            self._refuse(_line(node), "a part of itself", "remove the reference")
        self._open.append(id(node))
        try:
            made = self._built[id(node)] = self._make(node)
        finally:
            self._open.pop()
        return made

    def _make(self, node: Node) -> Any:
        values: Any = None
        if isinstance(node, MappingNode):
            values = {key: self._build(value) for key, value in self._entries(node).items()}
        elif isinstance(node, SequenceNode):
            values = [self._build(value) for value in node.value]
        kind, _, name = _tag(node).partition(":")
        if kind == "!apply":
            self._refuse(_line(node), f"the tag {_tag(node)}", "no part of an encoder may be its result")
        if kind not in {"!new", "!name"}:
            return self._scalar(node) if isinstance(node, ScalarNode) else values
        module, _, attribute = name.rpartition(".")
        found: Any = getattr(importlib.import_module(module), attribute)
        arguments, named = (values or (), {}) if isinstance(values, list | None) else ((), values)
        if kind == "!new":
            return found(*arguments, **named)
        return partial(found, *arguments, **named) if arguments or named else found

    def _refuse(self, line: int, what: str, instead: str) -> NoReturn:
        raise RedactError(f"{self.path} line {line} holds {what}: {instead}.")


def _tag(node: Node) -> str:
    """As the parser has resolved it: shorthands spelt out, ``%`` escapes undone."""
    return str(node.tag or "")


def _line(node: Node) -> int:
    return node.start_mark.line + 1 if node.start_mark else 0


def _shown(key: Node) -> str:
    return f"{key.value!r:.40}" if isinstance(key, ScalarNode) else "that is no word"


def _said(kind: str) -> str:
    return {"!new": "classes", "!name": "activations and layers"}.get(
        kind, "classes (!new) and layers (!name)"
    )


def _parts(reference: str) -> list[str]:
    """``<a[b][c]>`` -> a, b, c."""
    return [part.rstrip("]") for part in reference.strip("<>").split("[")]


def _value(text: str, kind: str) -> Any:
    """A scalar of YAML 1.2's core schema.

    Raises:
        ValueError: It is none of its kind.
    """
    bare = text.replace("_", "")
    if kind == "null":
        return None
    if kind == "bool":
        return (
            {"true": True, "false": False}[text.lower()] if text.lower() in {"true", "false"} else _fail(text)
        )
    if kind == "int":
        sign = -1 if bare.startswith("-") else 1
        digits = bare.lstrip("+-")
        base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2].lower(), 10)
        return sign * int(digits, base)
    if kind == "float":
        known = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
        return known[bare.lower()] if bare.lower() in known else float(bare)
    return text


def _fail(text: str) -> NoReturn:
    raise ValueError(text)


def _guess(text: str) -> Any:
    """A word of a tuple."""
    for kind in ("int", "float", "bool"):
        try:
            return _value(text, kind)
        except ValueError:
            continue
    return None if text in {"null", "None"} else text
