"""Training with Lightning: module, data, export, command line. No modality is imported here."""

from lightning_modules.data import RedactionData
from lightning_modules.export import ExportRedacted
from lightning_modules.module import RedactionModule

__all__ = ["ExportRedacted", "RedactionData", "RedactionModule"]
