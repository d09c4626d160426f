"""Pages whose tables are written by scripts: what stands between two marks is replaced, the rest stays."""

from __future__ import annotations


def between(page: str, begin: str, end: str, text: str) -> str:
    """``page`` with ``text`` between the mark ``begin`` and the next mark ``end``, as paragraphs of their own.

    Raises:
        ValueError: A mark is missing.
    """
    start = page.index(begin) + len(begin)
    return f"{page[:start]}\n\n{text}\n\n{page[page.index(end, start) :]}"
