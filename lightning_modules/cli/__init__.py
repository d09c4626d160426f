"""The commands ``redact`` and ``lightning``."""
