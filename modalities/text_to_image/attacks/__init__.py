"""Attacks on models that draw what a prompt asks for; one class in one file."""
