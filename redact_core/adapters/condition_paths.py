"""By which paths a condition enters a generator, and which of them a redaction changes; plain data, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class ConditionPath:
    """One way in which a condition reaches the generator."""

    name: str
    """Part, file or argument: ``text_encoder``, ``learned_embeds.safetensors``, ``load_ip_adapter``."""
    kind: str
    """``text encoder``, ``pooled vector``, ``image prompt``, ``learned tokens``, ``LoRA``, ``speaker table``,
    ``voice files``, ``speaker encoder``, ``in-context audio``, ``embeddings`` ..."""
    what: str
    """Class and sizes, as the files state them."""
    covered_by: str | None = None
    """The adapter whose redaction changes this path; ``None``: a redaction leaves it as it is."""
    optional: bool = False
    """Nothing of it lies in the folder: the model's class accepts it when it is given."""
    advice: str = ""
    """What to do about a path that no redaction covers; a sentence."""
    redacted: bool | None = None
    """Whether the folder's card lists the path's weights as changed; ``None``: the folder has no card."""


@dataclass(frozen=True)
class Inspection:
    """What :func:`modalities.inspecting.inspect` found in a model."""

    model: str
    """As it was given."""
    family: str
    """Class or name of the model."""
    adapter: str | None
    """The adapter that redacts it; ``None``: there is none."""
    paths: tuple[ConditionPath, ...]
    remarks: tuple[str, ...] = ()
    """Sentences about the model as a whole."""

    @property
    def uncovered(self) -> tuple[ConditionPath, ...]:
        """Paths of the folder that no redaction changes."""
        return tuple(path for path in self.paths if path.covered_by is None and not path.optional)

    def with_changed(self, files: Sequence[str], behind: Mapping[str, str]) -> Inspection:
        """The same, with :attr:`ConditionPath.redacted` by the names of the files that the folder's card lists as changed.

        A path is redacted if a changed file lies in the folder of its name, is it, or lies beside the model
        where the path is the model's own; or if one stands behind it.

        Args:
            files: Their names.
            behind: Kind of a path -> how files begin that stand behind covered paths of that kind.
        """
        parts = {name.partition("/")[0] for name in files} | set(files)
        after = {kind for kind, start in behind.items() if any(name.startswith(start) for name in files)}
        own = any("/" not in name and not name.endswith((".json", ".yaml", ".md")) for name in files)
        return replace(
            self,
            paths=tuple(
                path
                if path.optional
                else replace(
                    path,
                    redacted=_place(path.name, parts, own)
                    or (path.kind in after and path.covered_by is not None),
                )
                for path in self.paths
            ),
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def _place(name: str, parts: set[str], own: bool) -> bool:
    place = name.partition(":")[0].partition("/")[0]
    return place in parts or (own and place == "weights")
