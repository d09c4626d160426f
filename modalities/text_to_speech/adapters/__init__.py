"""Adapters of text-to-speech models, and the parts that they are made of."""
