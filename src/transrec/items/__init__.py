"""The item tower: from what an item is to a vector."""
