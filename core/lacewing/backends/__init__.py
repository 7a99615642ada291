"""Base classes that make a backend out of a few pure functions."""
