"""Rows for readers on the same host, who map the files that hold them into their own memory."""
