"""The user tower: from a history of item vectors to what the user may want next."""
