"""One folder a modality; siblings never import one another. Nothing is imported here."""
