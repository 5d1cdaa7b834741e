"""The web's pages about models."""
