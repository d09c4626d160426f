"""Words that the rows of a comparison are written in."""

STOCK = "untouched"
"""What the base is called among the methods."""
COST, FOUND, TOGETHER = "cost", "found", "together"
PLAIN = 0.05
"""Share of plain requests that may still work, for settings to be taken."""
RULE = f"leak of plain requests at most {100 * PLAIN:.0f} %, then most of the nearest kept; else least leak"
