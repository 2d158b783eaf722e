"""Comparing: what `transrec compare` is made of; a file for each step from the settings to the sentence."""
