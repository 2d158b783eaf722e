"""Serving: what an application holds to recommend."""
