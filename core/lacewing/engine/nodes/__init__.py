"""One pure file for each kind of node."""
