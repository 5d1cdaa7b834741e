"""Images, recognised by their first bytes and read no further than their headers."""
