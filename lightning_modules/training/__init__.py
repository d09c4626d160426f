"""The Lightning module, its data, and the export."""
