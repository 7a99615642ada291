"""The console: pages about executions, read through the RPCs that clients use."""
