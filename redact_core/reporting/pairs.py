"""Samples of base and redacted beside one another, as HTML: pictures and players."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from redact_core.reporting.media import Source, audio_type, data_url, png_size, read_source

_SIDE, _LARGEST = 96, 256


def picture_pairs(
    captions: Sequence[str],
    base_pngs: Sequence[Source],
    redacted_pngs: Sequence[Source],
    prefix: str | None = None,
) -> tuple[list[str], int]:
    """One figure for each pair, and the width of the widest picture in pixels as it is shown.

    Args:
        captions: One for each pair.
        base_pngs: What the base made.
        redacted_pngs: What the redacted model made.
        prefix: Of the element ids, unique in the page, if each pair is hidden until it is chosen.

    Raises:
        RedactError: A picture cannot be read or is not PNG.
    """
    pairs: list[str] = []
    widest = 0
    for caption, *pair in zip(captions, base_pngs, redacted_pngs, strict=True):
        cells: list[str] = []
        for label, source in zip(("base", "redacted"), pair, strict=True):
            name, data = read_source(source, f"{label}: {caption}")
            width, height = png_size(name, data)
            factor = max(1, round(_SIDE / width))
            shown = min(factor * width, _LARGEST)
            widest = max(widest, shown)
            pixels = ' class="pixels"' if factor > 1 else ""
            # spans, because a label may hold nothing larger
            cells.append(
                f'<span class="cell"><span class="shade"><img{pixels} src="{data_url("image/png", data)}" '
                f'alt="{escape(f"{label}: {caption}")}" width="{shown}" '
                f'height="{round(shown * height / width)}"></span>'
                f'<span class="{label}">{label}</span></span>'
            )
        both = f'<div class="both">{"".join(cells)}</div>'
        if prefix is not None:
            name = f"{prefix}{len(pairs) + 1}"
            both = (
                f'<input type="checkbox" class="reveal" id="{name}" '
                f'aria-label="{escape(f"Show the pictures: {caption}")}">'
                f'<label class="both" for="{name}">{"".join(cells)}</label>'
            )
        pairs.append(f'<figure class="pair">{both}<figcaption>{escape(caption)}</figcaption></figure>')
    return pairs, widest


def sound_pairs(rows: Sequence[tuple[str, Source, Source]]) -> list[str]:
    """One figure for each caption, base and redacted.

    Raises:
        RedactError: A clip cannot be read or is neither WAV nor OGG nor FLAC.
    """
    parts: list[str] = []
    for caption, *pair in rows:
        cells: list[str] = []
        for label, source in zip(("base", "redacted"), pair, strict=True):
            name, data = read_source(source, f"{label}: {caption}")
            cells.append(
                f'<div><span class="{label}">{label}</span>'
                f'<audio controls preload="metadata" aria-label="{escape(f"{label}: {caption}")}" '
                f'src="{data_url(audio_type(name, data), data)}"></audio></div>'
            )
        parts.append(
            f'<figure class="clip"><figcaption>{escape(caption)}</figcaption>'
            f'<div class="both">{"".join(cells)}</div></figure>'
        )
    return parts
