"""From tables and pictures to a dataset; nothing is dropped silently."""
