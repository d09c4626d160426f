"""From plan to samples, evidence and figures."""
