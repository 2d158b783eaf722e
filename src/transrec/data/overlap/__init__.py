"""Overlap: what two platforms share that ought to share nothing: users, items, texts, pictures."""
