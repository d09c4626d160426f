"""Training methods; one file a method. What they share stands in :mod:`._parts`."""
