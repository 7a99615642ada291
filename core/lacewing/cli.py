"""The `lacewing` command. Subcommands are imported on use, so that the command itself starts at once."""

import importlib
import sys

_COMMANDS = {
    "demo": ("lacewing.demo.running", "the control plane of this machine: start, stop, status, run"),
    "db": ("lacewing.demo.database", "the database's schema: its revision, and the way to the newest"),
    "plugins": ("lacewing.demo.plugins", "what is installed, and what is enabled"),
}
# What these need is imported at once; the rest of the demo's command talks to a demo, and needs more.
_LIGHT = {"start", "stop", "status", "reset"}
_USAGE = "usage: lacewing COMMAND [ARGUMENTS]\n\ncommands:\n" + "\n".join(
    f"  {name:8} {text}" for name, (_, text) in _COMMANDS.items()
)


def main() -> None:
    """Run the subcommand that the first argument names."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return
    if arguments[0] == "--version":
        print(importlib.import_module("lacewing").__version__)
        return
    if arguments[0] not in _COMMANDS:
        print(f"lacewing: there is no command {arguments[0]!r}\n\n{_USAGE}", file=sys.stderr)
        sys.exit(2)
    name = _COMMANDS[arguments[0]][0]
    if arguments[0] == "demo" and _LIGHT & set(arguments[1:2]):
        name = "lacewing.demo.command"
    module = importlib.import_module(name)
    module.app(arguments[1:], prog_name=f"lacewing {arguments[0]}")
