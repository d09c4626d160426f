"""Training with Lightning: module, data, export, command line. No modality is imported here."""

from typing import TYPE_CHECKING

from redact_core.lazy_names import lazy

if TYPE_CHECKING:
    from lightning_modules.data import RedactionData
    from lightning_modules.export import ExportRedacted
    from lightning_modules.module import RedactionModule
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["ExportRedacted", "RedactionData", "RedactionModule"]
