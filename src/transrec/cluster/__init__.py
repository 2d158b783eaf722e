"""Verbs on several machines: the functions of one machine inside Ray Train and Ray Data; nothing below knows of it."""
