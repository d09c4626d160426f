"""Published prompt files as rows of a plan. The files are the user's; none is shipped.

Rows that may concern minors are always left out, of every file; there is no option that keeps them.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from redact_core import PlanRow, PlanSource, RedactError
from redact_core.support.csv_rows import read_csv
from redact_core.support.paths import as_file, at_home

_YOUNG = """
adolescent baby babies boy boyhood boys boyish child childhood childish childlike children cherub
chibi fetus girl girlhood girls girlish grader graders highschool infant infants juvenile kid kiddie
kids kindergarten lad lads lass lasses loli lolicon lolita middleschool minor minors newborn nymphet
petite preschool preschooler preteen preteens prepubescent puberty pubescent schoolboy schoolboys
schoolgirl schoolgirls schooler shota shotacon son daughter sons daughters student students teen
teenage teenaged teenager teenagers teens toddler toddlers tween tweens underage underaged young
younger youngster youngest youth youths youthful jailbait barely-legal
"""
_SPELLED = """
one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
"""
_WORDS = re.compile(rf"(?<![a-z])(?:{'|'.join(map(re.escape, _YOUNG.split()))})(?![a-z])")
_NUMBERS = "|".join(_SPELLED.split())
# "16 years old", "aged 7", "12yo", "15-year-old"
_AGES = re.compile(
    rf"(?:(?<!\d)(?:1[0-7]|\d)|(?<![a-z])(?:{_NUMBERS}))\s*-?\s*(?:y\s*/?\s*o(?![a-z])|years?|yrs?)|(?:aged?|age of)\s*:?\s*(?:1[0-7]|\d)(?!\d)"
)


def may_concern_minors(text: str) -> bool:
    """A word that young people are called by, or an age below 18; rather one too many than one too few.

    >>> may_concern_minors("a portrait of a 16-year-old"), may_concern_minors("a kidney on a table")
    (True, False)
    >>> may_concern_minors("seven years old"), may_concern_minors("a 27-year-old")
    (True, False)
    """
    low = text.lower()
    return bool(_WORDS.search(low) or _AGES.search(low))


class TestBed(PlanSource):
    """A file of prompts: CSV with a header, or JSON lines.

    Args:
        path: The file.
        n: Rows that are used, from the first; default: all.
    """

    __test__ = False  # for pytest, which collects classes of such names
    texts: Sequence[str] = ()
    """Columns with prompts, which must be there."""

    def __init__(self, path: Path, n: int | None = None):
        self.path, self.n = at_home(path), n
        self.left_out = 0
        """Rows that may concern minors, counted by :meth:`rows`."""

    @abstractmethod
    def of(self, entry: Mapping[str, str], number: int, seed: int) -> list[PlanRow]:
        """The rows of one entry; ``number`` counts those that are used, ``seed`` is the next free one."""

    def rows(self) -> list[PlanRow]:
        entries = _entries(self.path)
        missing = [name for name in self.texts if entries and name not in entries[0]]
        if missing:
            raise RedactError(
                f"{self.path}: has no column {' and no '.join(missing)}; {type(self).__name__} needs "
                f"{', '.join(self.texts)}."
            )
        # what a row says beside its prompts may tell of minors, too
        kept = [e for e in entries if not any(may_concern_minors(str(value)) for value in e.values())]
        self.left_out = len(entries) - len(kept)
        self.note = f"{self.left_out} row{'s' * (self.left_out != 1)} of {self.path} may concern minors and are left out."
        found: list[PlanRow] = []
        for number, entry in enumerate(kept[: self.n]):
            found += self.of(entry, number, len(found))
        empty = sum(not str(entry.get(name, "")).strip() for entry in kept[: self.n] for name in self.texts)
        if empty:
            self.note += f" {empty} cells of {', '.join(self.texts)} are empty."
        if not found:
            raise RedactError(f"{self.path}: holds no rows that may be used; give another file.")
        return found

    def number(self, entry: Mapping[str, str], key: str, default: float) -> float:
        """A column as a number, ``default`` where it is empty or absent."""
        text = str(entry.get(key) or "").strip()
        try:
            return float(text) if text else default
        except ValueError:
            raise RedactError(f"{self.path}: {key} is {text!r:.40}; give a number.") from None


class InappropriatePrompts(TestBed):
    """The I2P test bed (Schramowski et al. 2023): ``prompt``, ``categories``, ``sd_seed``, and so on.

    Every prompt is asked ``pictures`` times. The published protocol seeds a generator once with the
    row's seed and draws ten pictures from it; here picture k has the seed ``sd_seed + k``, because a
    sample depends on its own seed only.

    Args:
        path: The published CSV.
        n: Prompts that are used, from the first; default: all.
        pictures: For each prompt.
        settings: Sample with the guidance and size of the ``rows``, or with the ``adapter``'s as the
            published wrappers do.
        max_guidance: A larger guidance is taken for a typing error, and the adapter's is used.
    """

    texts = ("prompt", "categories")

    def __init__(
        self,
        path: Path,
        n: int | None = None,
        pictures: int = 10,
        settings: Literal["rows", "adapter"] = "rows",
        max_guidance: float = 30.0,
    ):
        super().__init__(path, n)
        self.pictures, self.settings, self.max_guidance = pictures, settings, max_guidance

    def of(self, entry: Mapping[str, str], number: int, seed: int) -> list[PlanRow]:
        first = int(self.number(entry, "sd_seed", seed))
        labels = {"prompt": str(number), "categories": entry["categories"], "picture": "0"}
        if self.settings == "rows":
            guidance = self.number(entry, "sd_guidance_scale", 0.0)
            if 0 < guidance <= self.max_guidance:
                labels["guidance"] = f"{guidance:g}"
            for side in ("width", "height"):
                size = int(self.number(entry, f"sd_image_{side}", 0))
                if size:
                    labels[side] = str(size)
        return [
            PlanRow(
                entry["prompt"], "inappropriate", "test bed", first + k, True, labels | {"picture": str(k)}
            )
            for k in range(self.pictures)
        ]


class Captions(TestBed):
    """COCO captions: ``prompt``, maybe ``evaluation_seed`` or ``seed``; all of them shall stay."""

    texts = ("prompt",)

    def of(self, entry: Mapping[str, str], number: int, seed: int) -> list[PlanRow]:
        own = self.number(entry, "seed", self.number(entry, "evaluation_seed", seed))
        return [PlanRow(entry["prompt"], "captions", "captions", int(own), False, {})]


class StylesAndObjects(TestBed):
    """UnlearnCanvas-like files: ``prompt``, ``style``, ``object``.

    Groups are *redacted*, *same object* or *same style* (in-domain retention), and *other*.

    Args:
        path: The file.
        style: That was redacted; or an object.
        object: That was redacted; or a style.
        n: Rows that are used.

    Raises:
        RedactError: Not one of style and object is given.
    """

    texts = ("prompt", "style", "object")

    def __init__(self, path: Path, style: str | None = None, object: str | None = None, n: int | None = None):
        super().__init__(path, n)
        if (style is None) == (object is None):
            raise RedactError("Give either the style or the object that was redacted.")
        self.kind, self.name = ("style", style) if style is not None else ("concept", object or "")

    def of(self, entry: Mapping[str, str], number: int, seed: int) -> list[PlanRow]:
        labels = {"kind": self.kind, "style": entry["style"], "concept": entry["object"]}
        gone = labels[self.kind].lower() == str(self.name).lower()
        other = "concept" if self.kind == "style" else "style"
        group = "redacted" if gone else "kept styles" if self.kind == "style" else "kept objects"
        kind = labels | {"kind": self.kind if gone else other} if self.kind == "style" else labels
        return [PlanRow(entry["prompt"], group, "canvas", int(self.number(entry, "seed", seed)), gone, kind)]


class PairedPrompts(TestBed):
    """Six-CD-like files: each prompt with the concept beside its twin without it.

    The twins say what of a prompt shall remain: the group *without* must stay as it is.

    Args:
        path: The file.
        with_concept: Column of the prompts with the concept.
        without: Column of their twins.
        n: Pairs that are used.
    """

    def __init__(
        self, path: Path, with_concept: str = "prompt", without: str = "paired_prompt", n: int | None = None
    ):
        super().__init__(path, n)
        self.texts = (with_concept, without)

    def of(self, entry: Mapping[str, str], number: int, seed: int) -> list[PlanRow]:
        own = int(self.number(entry, "seed", seed))
        labels = {"pair": str(number)}
        if entry.get("concept"):
            labels["concept"] = entry["concept"]
        pair = zip(self.texts, ("with", "without"), (True, False), strict=True)
        # the same seed: twins shall differ in the concept only
        return [
            PlanRow(entry[column], group, "pairs", own, gone, labels)
            for column, group, gone in pair
            if entry[column].strip()
        ]


class SafeAndUnsafe(PairedPrompts):
    """ViSU-like files: ``safe`` and ``nsfw`` captions of the same picture.

    Args:
        path: The file.
        unsafe: Column of the unsafe captions.
        safe: Column of the safe ones.
        n: Pairs that are used.
    """

    def __init__(self, path: Path, unsafe: str = "nsfw", safe: str = "safe", n: int | None = None):
        super().__init__(path, unsafe, safe, n)


def _entries(path: Path) -> list[dict[str, str]]:
    if path.suffix.lower() not in {".jsonl", ".json"}:
        return [{key: value for key, value in row.items() if key} for _, row in read_csv(path)[1]]
    try:
        with as_file(path).open(encoding="utf-8-sig") as file:
            rows: list[Any] = [json.loads(line) for line in file if line.strip()]
        found = [{str(k): "" if v is None else str(v) for k, v in row.items()} for row in rows]
    except FileNotFoundError as error:
        raise RedactError(f"There is no file {path}; check the path.") from error
    except (OSError, UnicodeDecodeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise RedactError(f"{path}: cannot be read as CSV or JSON lines in UTF-8 ({reason}).") from error
    return found
