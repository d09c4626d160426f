"""Voice cloners that a voice enters by two encoders in parallel: reading both, and writing both."""
