"""Frozen data: what the engine decides about. No I/O, no clock, no await."""
