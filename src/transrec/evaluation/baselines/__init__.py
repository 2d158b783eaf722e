"""Simple rankers that know items by number only and are strong where much is known: the bar beside every number."""
