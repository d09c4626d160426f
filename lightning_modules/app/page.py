"""The page of ``redact app`` in Gradio: fields as the adapter states them, both samples, what the judges say."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from html import escape
from typing import Any

from lightning_modules.app.compare import SEEDS, Comparison, Figure
from lightning_modules.support.output import say
from redact_core import RedactError
from redact_core.adapters.by_hand import Entry
from redact_core.errors import first_line

MISSING = "redact app needs the package gradio; install it: pip install 'redact-core[app]'."
# nothing is fetched from elsewhere, whatever the library's own page names
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; frame-ancestors 'self'"
_CSS = """
.verdict {font-size: 1.15rem; font-weight: 600;}
.figures table {width: 100%; border-collapse: collapse; border: 0 !important;}
.figures th, .figures td {padding: .35rem .8rem .35rem 0; text-align: left; vertical-align: top; border: 0;
  border-bottom: 1px solid var(--border-color-primary);}
.figures tbody th {font-weight: 500;}
.figures small {display: block; max-width: 60ch; font-weight: 400; opacity: .85;}
.picture img {image-rendering: auto; width: 100%; height: 100%; object-fit: contain;}
"""


def gradio() -> Any:
    """The library, with everything off that leaves this machine.

    Raises:
        RedactError: It is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        # by name: the package is optional, and heavy
        return importlib.import_module("gradio")
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise RedactError(MISSING) from error


def page(compare: Comparison, title: str) -> Any:
    """The page, a ``gradio.Blocks``.

    Args:
        compare: What a press of the button does.
        title: Of the page.
    """
    gr = gradio()
    # what is uploaded and shown lies with the samples, and goes with them
    os.environ["GRADIO_TEMP_DIR"] = str(compare.folder / "page")
    entries = compare.entries()
    names = [subject.name for subject in compare.subjects]
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        gr.Markdown(f"# {title}\nThe same request and seed go to the base and to the redacted model.")
        fields = [_field(gr, entry) for entry in entries]
        with gr.Row():
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=SEEDS)
            subject = gr.Dropdown(names, value=names[0], label="Look for") if len(names) > 1 else gr.State(
                names[0] if names else None
            )  # fmt: skip
        button = gr.Button("Compare", variant="primary")
        with gr.Row():
            before, after = (_sample(gr, compare.form.shows, label) for label in ("Base", "Redacted"))
        verdict = gr.HTML(label="Verdict", elem_classes="verdict")
        figures = gr.HTML(label="All figures", elem_classes="figures")

        def compared(seed: Any, subject: str | None, *values: Any) -> tuple[str, str, str, str]:
            stated = {entry.name: value for entry, value in zip(entries, values, strict=True)}
            try:
                found = compare(stated, seed, subject)
            except RedactError as error:
                raise gr.Error(str(error), duration=None, print_exception=False) from None
            except (OSError, RuntimeError) as error:  # memory, a disk, a clip that a library cannot read
                reason = first_line(error)
                said = f"It could not be made ({reason}); try a smaller request."
                raise gr.Error(said, duration=None, print_exception=False) from None
            return (
                str(found.base),
                str(found.redacted),
                f"<p>{escape(found.verdict)}</p>",
                table(found.figures),
            )

        asked = [seed, subject, *fields]
        shown = [before, after, verdict, figures]
        button.click(compared, asked, shown, concurrency_limit=1, api_name="compare")
        for field, entry in zip(fields, entries, strict=True):
            if entry.kind == "text":
                field.submit(compared, asked, shown, concurrency_limit=1, api_name=False)
    return blocks


def table(figures: Sequence[Figure]) -> str:
    """What the judges say, as HTML."""
    if not figures:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(f.name)}<small>{escape(f.note)}</small></th>'
        f"<td>{escape(f.base)}</td><td>{escape(f.redacted)}</td></tr>"
        for f in figures
    )
    head = '<thead><tr><th scope="col">Figure</th><th scope="col">Base</th><th scope="col">Redacted</th></tr></thead>'
    return f"<table>{head}<tbody>{rows}</tbody></table>"


def serve(
    blocks: Any, compare: Comparison, host: str, port: int | None, share: bool, *, wait: bool = True
) -> str:
    """Serve the page until it is stopped; what was made and uploaded is deleted then.

    Args:
        blocks: From :func:`page`.
        compare: Of that page.
        host: Address to listen on.
        port: Default: the first free one from 7860.
        share: Whether Gradio's tunnel makes the page public.
        wait: Whether to return only when it is stopped.

    Returns:
        The page's address.

    Raises:
        RedactError: The port is taken or the address is not this machine's.
    """
    gr = gradio()
    middleware = importlib.import_module("starlette.middleware").Middleware(Policy)
    try:
        _, address, public = blocks.launch(
            server_name=host, server_port=port, share=share, quiet=True, prevent_thread_lock=True, inbrowser=False,
            allowed_paths=[str(compare.folder)], footer_links=[], ssr_mode=False, max_file_size="50mb", show_error=False, pwa=False,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css=_CSS, app_kwargs={"middleware": [middleware]},
        )  # fmt: skip
    except OSError as error:
        where = f"{host}, port {port}," if port else host
        raise RedactError(
            f"{where} cannot be served: the port is taken, or the address is not this machine's; give another --port "
            "or --host."
        ) from error
    say(f"The page is at {public or address}; press Ctrl+C to stop it.")
    if wait:
        try:
            blocks.block_thread()
        finally:
            blocks.close()
            compare.close()
    return address


class Policy:
    """Middleware (ASGI) that lets pages load nothing from elsewhere."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Add the header to every answer."""

        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(b"content-security-policy", _POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        await self.app(scope, receive, with_policy)


def _field(gr: Any, entry: Entry) -> Any:
    info = entry.hint or None
    if entry.kind == "text":
        return gr.Textbox(entry.value, label=entry.label, info=info, max_lines=3)
    if entry.kind == "choice":
        return gr.Dropdown(list(entry.choices), value=entry.value, label=entry.label, info=info)
    if entry.kind == "sound":
        return gr.Audio(type="filepath", sources=["upload"], label=entry.label)
    step = 1 if entry.kind == "whole number" else 0.1
    return gr.Slider(entry.low, entry.high, value=entry.value, step=step, label=entry.label, info=info)


def _sample(gr: Any, shows: str, label: str) -> Any:
    if shows == "sound":
        return gr.Audio(type="filepath", label=label, interactive=False, buttons=["download"])
    # without the button that shares a picture on the web
    return gr.Image(
        type="filepath", label=label, interactive=False, format="png", height=320, buttons=["download", "fullscreen"],
        elem_classes="picture", alt_text=f"{label}: the picture",
    )  # fmt: skip
