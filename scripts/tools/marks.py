"""Pages whose tables are written by scripts: what stands between two marks is replaced, the rest stays."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path


def between(page: str, begin: str, end: str, text: str) -> str:
    """``page`` with ``text`` between the mark ``begin`` and the next mark ``end``, as paragraphs of their own.

    Raises:
        ValueError: A mark is missing.
    """
    start = page.index(begin) + len(begin)
    return f"{page[:start]}\n\n{text}\n\n{page[page.index(end, start) :]}"


_TABLE = re.compile(r"(<!-- table ([\w. ]+) -->)(.*?)(<!-- end -->)", re.DOTALL)


def with_tables(page: str, table: Callable[[str], str | None]) -> str:
    """``page`` with ``table(name)`` between each mark ``<!-- table NAME -->`` and the next ``<!-- end -->``.

    Args:
        page: Its text.
        table: Name -> the table in Markdown; ``None``: what is there stays.
    """

    def filled(match: re.Match[str]) -> str:
        text = table(match[2])
        return match[0] if text is None else f"{match[1]}\n\n{text.strip()}\n\n{match[4]}"

    return _TABLE.sub(filled, page)


def tables_of(page: str) -> dict[str, str]:
    """Name -> the table that stands at that mark."""
    return {name: table.strip() for _, name, table, _ in _TABLE.findall(page)}


def write_page(description: str | None, source: str, filled: Callable[[str, Path], str]) -> None:
    """A script whose arguments are what the tables are made of, and the page that they stand in.

    Args:
        description: Of the script.
        source: Name of its first argument.
        filled: The page's text and the first argument -> the text with the tables.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(source, type=Path)
    parser.add_argument("page", type=Path)
    args = parser.parse_args()
    text = filled(args.page.read_text(encoding="utf-8"), getattr(args, source))
    args.page.write_text(text, encoding="utf-8")
