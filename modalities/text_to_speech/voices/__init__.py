"""Voices: from a request to rows, and what is asked in an evaluation."""
