"""The seam to a model: what an adapter is, what it can do, guards around it, and the contract that is checked."""
