"""Thin services over the ports and the tables."""
