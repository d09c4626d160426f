"""Which paths a condition takes into a pipeline of pictures or films; read without torch."""
