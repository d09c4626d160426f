"""What can be named in a config, read from the source: classes, their kinds, and what they need installed."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

from lightning_modules.support.names import sources

KINDS = ("Guard", "Adapter", "Objective", "Scorer", "SetScorer", "PlanSource", "Attack")
"""Base classes of the core; a class belongs to the first that it descends from."""
HEADINGS = {
    "adapter": "Adapters: models that can be redacted",
    "objective": "Objectives: methods of training",
    "attack": "Attacks: ways to bring back what was redacted",
    "guard": "Guards: what acts while a model draws or speaks, and changes no file",
    "scorer": "Scorers: judges of single samples",
    "setscorer": "SetScorers: judges of whole groups of samples",
    "plansource": "PlanSources: published lists of prompts",
}
"""Kind -> what it is, in the order in which they are listed."""
_INTERNAL = "redact_core.adapters.contract"
_VIEWS = "redact_core.adapters.view"
"""Its classes, and those that descend from them, are made around a model's parts and named in no config."""
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
"""``:class:`~package.Name``` of a docstring; the name is its group."""


@dataclass(frozen=True)
class Entry:
    """A class that a config may name."""

    kind: str
    module: str
    name: str
    summary: str
    """First line of its docstring, or of that which it inherits, as plain text."""
    missing: str | None
    """A package that it needs and that is not installed."""
    needs: tuple[str, ...] = ()
    """Capabilities of a model that a method or an attack needs, by name."""
    offers: frozenset[str] = frozenset()
    """Capabilities that an adapter has, by name."""


def methods_of(adapter: Entry, found: Iterable[Entry]) -> list[str]:
    """Names of the objectives among ``found`` whose needs ``adapter`` meets."""
    return [x.name for x in found if x.kind == "objective" and adapter.offers.issuperset(x.needs)]


def entries() -> Iterator[Entry]:
    """Every adapter, objective, guard, scorer, attack and test bed that is not abstract, by name."""
    catalogue = _Catalogue()
    for (module, name), found in sorted(catalogue.classes.items(), key=lambda item: item[0][::-1]):
        kind = catalogue.kind(found)
        inside = any(one.module.name == _VIEWS for one in catalogue.lineage(found))
        if kind and not inside and not catalogue.abstract(found) and not module.startswith(_INTERNAL):
            yield Entry(
                kind, module, name, catalogue.summary(found), catalogue.missing(module),
                catalogue.named(found, "needs"), catalogue.capabilities(found),
            )  # fmt: skip


@dataclass(eq=False)
class _Module:
    """What the import statements and classes of a file say."""

    name: str
    tree: ast.Module

    @cached_property
    def imported(self) -> Mapping[str, tuple[str, str]]:
        """Local name -> module and its name there, of every ``from module import name``."""
        return {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }

    @cached_property
    def needed(self) -> list[str]:
        """Modules that importing this one imports."""
        found: list[str] = []
        for node in self.tree.body:
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.append(node.module)
        return found


@dataclass(eq=False)
class _Class:
    module: _Module
    node: ast.ClassDef

    @cached_property
    def names(self) -> Mapping[str, bool]:
        """Name that the class binds -> whether that leaves it abstract."""
        found: dict[str, bool] = {}
        for node in self.node.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name] = any("abstractmethod" in ast.dump(one) for one in node.decorator_list)
            elif isinstance(node, ast.Assign):
                found |= {name.id: False for name in node.targets if isinstance(name, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
                found[node.target.id] = False
        return found

    @cached_property
    def values(self) -> Mapping[str, ast.expr]:
        """Name -> what the class body assigns to it."""
        found: dict[str, ast.expr] = {}
        for node in self.node.body:
            if isinstance(node, ast.Assign):
                found |= {name.id: node.value for name in node.targets if isinstance(name, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
                found[node.target.id] = node.value
        return found


class _Catalogue:
    """The classes of both packages and how they descend from one another."""

    def __init__(self) -> None:
        self.modules = {
            name: _Module(name, ast.parse(path.read_text(encoding="utf-8"))) for name, path in sources()
        }
        self.classes = {
            (module.name, node.name): _Class(module, node)
            for module in self.modules.values()
            for node in module.tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        }
        self._missing: dict[str, str | None] = {}

    def lineage(self, found: _Class) -> list[_Class]:
        """The class and its ancestors in our packages, in the order in which Python looks names up."""
        parents = (self._class_of(found.module, base) for base in found.node.bases)
        line = [found, *(one for parent in parents if parent for one in self.lineage(parent))]
        # an ancestor on several ways comes after all that descend from it
        return [one for i, one in enumerate(line) if one not in line[i + 1 :]]

    def kind(self, found: _Class) -> str:
        """The kind's name in small letters; empty for none, and for the kinds themselves."""
        names = {
            one.node.name for one in self.lineage(found)[1:] if one.module.name.startswith("redact_core.")
        }
        return next((kind.lower() for kind in KINDS if kind in names), "")

    def abstract(self, found: _Class) -> bool:
        """Whether an abstract method is left without a body."""
        line, bound = self.lineage(found), dict[str, bool]()
        for one in line:
            bound = {**one.names, **bound}
        if any(one.node.name == "Guard" for one in line):
            # a guard takes the members of an adapter from what it guards; redact_core.adapters.guard sets all but this one
            adapter = next(one.names for one in line if one.node.name == "Adapter")
            bound |= dict.fromkeys(adapter.keys() - {"generate"}, False)
        return any(bound.values())

    def summary(self, found: _Class) -> str:
        """First line of the docstring, without the marks of its markup."""
        texts = (ast.get_docstring(one.node) for one in self.lineage(found))
        line = inspect.cleandoc(next((text for text in texts if text), "")).split("\n")[0]
        return _ROLE.sub(r"\1", line).replace("``", "")

    def named(self, found: _Class, attribute: str) -> tuple[str, ...]:
        """The classes that a tuple in the class body names, of the nearest class that has one."""
        values = (one.values[attribute] for one in self.lineage(found) if attribute in one.values)
        value = next(values, None)
        listed = value.elts if isinstance(value, ast.Tuple) else []
        return tuple(one.id for one in listed if isinstance(one, ast.Name))

    def capabilities(self, found: _Class) -> frozenset[str]:
        """Capabilities that it derives from (:class:`redact_core.adapters.capabilities.Capability`), but for those that it lacks."""
        own = {
            one.node.name for one in self.lineage(found)
            if "Capability" in (below.node.name for below in self.lineage(one)[1:])
            and one.module.name.startswith("redact_core.adapters.")
        }  # fmt: skip
        return frozenset(own - set(self.named(found, "lacks")))

    def missing(self, module: str) -> str | None:
        """A package that importing ``module`` needs and that is not installed."""
        if module not in self._missing:
            self._missing[module] = None  # for circles
            if module in self.modules:
                lacks = (self.missing(name) for name in self.modules[module].needed)
                self._missing[module] = next((name for name in lacks if name), None)
            else:
                top = module.partition(".")[0]
                ours = {name.partition(".")[0] for name in self.modules}
                self._missing[module] = None if top in ours or find_spec(top) else top
        return self._missing[module]

    def _class_of(self, module: _Module, expression: ast.expr) -> _Class | None:
        if isinstance(expression, ast.Subscript):
            expression = expression.value
        if not isinstance(expression, ast.Name):
            return None
        name = expression.id
        place = (module.name, name)
        while place not in self.classes:
            if place[0] not in self.modules or place[1] not in self.modules[place[0]].imported:
                return None
            place = self.modules[place[0]].imported[place[1]]
        return self.classes[place]
