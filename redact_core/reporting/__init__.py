"""From figures to HTML and JSON."""
