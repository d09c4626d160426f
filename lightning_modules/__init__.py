"""Training with Lightning: module, data, export, command line. No modality is imported here."""

from typing import TYPE_CHECKING

from redact_core.support.lazy_names import lazy

if TYPE_CHECKING:
    from lightning_modules.training.data import RedactionData
    from lightning_modules.training.export import ExportRedacted
    from lightning_modules.training.module import RedactionModule
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["ExportRedacted", "RedactionData", "RedactionModule"]
