"""Guards that act on finished speech."""
