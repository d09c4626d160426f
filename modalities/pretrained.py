"""Models as users of diffusers and transformers know them: ``from_pretrained``, ``push_to_hub``, a progress bar."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tqdm.auto import tqdm

from redact_core import Adapter, RedactError
from redact_core.adapters.base import StepWatcher
from redact_core.errors import first_line


class Pretrained(Adapter):
    """An adapter of a model that lies in a folder or on the hub."""

    @classmethod
    def from_pretrained(cls, source: str | Path, **settings: Any) -> Self:
        """Load a model.

        Args:
            source: ``bundled``, a folder, or a hub id.
            settings: Further arguments of the class.

        Raises:
            RedactError: There is no such model, or it is of another class.
        """
        make: Any = cls
        return make(str(source), **settings)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = True,
        api: Any = None,
        message: str = "Redacted model",
        **options: Any,
    ) -> str:
        """Save the redacted model and upload it to the hub of Hugging Face.

        Args:
            repo_id: ``owner/name``; made if it does not exist.
            private: Whether a repository that is made is private.
            api: What uploads; default: ``huggingface_hub.HfApi()``, which uses the token that is logged in.
            message: Of the commit.
            options: As :meth:`save_pretrained` takes them.

        Returns:
            The address of the commit.

        Raises:
            RedactError: Nothing was redacted, or the hub refuses; the message has its reason.
        """
        if self.redaction is None:
            raise RedactError(
                "Nothing has been redacted in this model, so there is nothing to upload; call redact(model, ...) first."
            )
        if api is None:
            from huggingface_hub import HfApi

            api = HfApi()
        with tempfile.TemporaryDirectory(prefix="redact-") as above:
            folder = self.save_pretrained(Path(above) / "model", **options)
            try:
                api.create_repo(repo_id=repo_id, private=private, exist_ok=True)
                return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message))
            except Exception as error:  # the hub's own errors come from several libraries
                reason = first_line(error)
                raise RedactError(f"{repo_id} could not be uploaded: {reason}") from error

    @contextmanager
    def progress(self, steps: int) -> Generator[StepWatcher]:
        """A bar with the steps, their rate and the loss terms; not where the output is no terminal and no notebook."""
        with tqdm(total=steps, desc="redact", unit="step", dynamic_ncols=True, disable=None) as bar:

            def step(number: int, terms: Mapping[str, float]) -> None:
                bar.set_postfix({name: f"{value:.2e}" for name, value in terms.items()}, refresh=False)
                bar.update(number + 1 - bar.n)

            yield step
