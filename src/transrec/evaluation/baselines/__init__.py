"""Simple rankers, tuned in minutes and strong where much is known of users or of content: the bar beside every number."""
