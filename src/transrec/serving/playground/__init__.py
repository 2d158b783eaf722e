"""The playground: a page in the browser where people make histories, see what is recommended and why, and try new items."""
