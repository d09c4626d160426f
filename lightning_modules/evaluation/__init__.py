"""Samples by ``Trainer.predict``, attacks, judges, and what follows once samples are there."""
