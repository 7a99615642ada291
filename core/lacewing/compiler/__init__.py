"""Registration-time checks: templates in, a compiled closure out. Pure."""
