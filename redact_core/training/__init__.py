"""The plain training loop, and what must hold of a training."""
