"""Attacks that any adapter can be put to; one class in one file."""
