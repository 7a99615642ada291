"""The admin service: what Flyte 1 clients talk to."""
