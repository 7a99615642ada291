"""Registration-time checks: templates in, a compiled closure out. Pure.

`requirements` says what to look up, `build` compiles, `dynamic` does so for what a dynamic task made.
Below: `nodes` (interfaces), `bindings`, `branches`, `connections`, `types`, `task`. They tell `problems`.
"""
