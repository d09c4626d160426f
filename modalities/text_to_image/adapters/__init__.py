"""Adapters of text-to-image models, and the parts that they are made of."""
