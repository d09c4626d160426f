"""Methods side by side: the same base, the same rows, the same attacks, the same judge."""
