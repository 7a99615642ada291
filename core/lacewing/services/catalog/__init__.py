"""The data catalog: outputs of cached tasks, and reservations of those who compute them."""
