"""Speaker encoders: loading, saving, their last linear map, variants of clips."""
