"""What the searches for prompts share."""
