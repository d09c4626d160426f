"""``redact app``: base and redacted model side by side, on a page of this machine."""
