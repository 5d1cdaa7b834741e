"""Views: filters on versions that have a name."""
