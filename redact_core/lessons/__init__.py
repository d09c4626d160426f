"""Training rows and the rules that they keep."""
