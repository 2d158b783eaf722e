"""Recipes: one file a verb. The only place where parts meet: settings in, parts assembled, one thing done."""
