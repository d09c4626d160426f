"""Which paths a voice takes into a model of speech; read without torch."""
