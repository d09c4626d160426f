"""Voices that a model keeps as values: one small file for each format that stores them."""
