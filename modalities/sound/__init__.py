"""What the modalities that hear clips share: reading them, folders of voices, warps of a voice."""
