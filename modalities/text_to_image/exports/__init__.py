"""A redacted pipeline as other tools take it: a LoRA, the encoders alone, or a single-file checkpoint."""
