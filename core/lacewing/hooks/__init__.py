"""The plugin surface: pluggy hooks, sync, without globals. Hooks return objects that may wait."""
