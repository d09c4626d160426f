"""What the modalities that read clips share: reading them, folders of voices, warps of a voice."""
