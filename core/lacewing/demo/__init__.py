"""The composition root for one machine: admin, engine and local cluster in one process."""
