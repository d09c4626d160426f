"""Methods that others published, written anew from their formulas: one file each, with its source and its traps."""
