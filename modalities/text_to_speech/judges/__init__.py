"""The bundled networks that judge speech: a verifier and a recogniser."""
