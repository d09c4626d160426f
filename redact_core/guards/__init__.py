"""The arithmetic of guards, which knows no modality."""
