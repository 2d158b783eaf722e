"""The service: a recommender behind HTTP, under ``/v1``."""
