"""What a measure is, and statistics."""
