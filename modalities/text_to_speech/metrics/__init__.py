"""Scorers of speech."""
