"""`python -m lacewing.demo`: the demo's command, as its own background process starts it."""

from lacewing.demo.command import app

app(prog_name="lacewing demo")
