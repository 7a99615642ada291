"""The engine: `advance` decides purely; `observe`, `effects` and `loop` act. It awaits, it never spawns."""
