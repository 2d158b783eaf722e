"""Platforms as data: items with raw content, who touched them when, and the batches made from both."""
