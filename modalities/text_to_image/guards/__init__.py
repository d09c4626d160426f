"""Guards that act while a picture is drawn."""
