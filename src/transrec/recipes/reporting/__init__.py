"""The steps of ``transrec report`` that need the model."""
