"""The one path by which items are ranked, in evaluation and when people are served."""
