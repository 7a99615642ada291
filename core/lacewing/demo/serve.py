"""The demo's process: serves until it is told to end."""

import asyncio
import signal
import sys
from collections.abc import Sequence

from lacewing.demo.app import demo
from lacewing.demo.instance import announce, holding, prepare_home
from lacewing.demo.journal import keep_journal
from lacewing.demo.settings import DemoSettings, home, load_settings
from lacewing.errors import ConfigError


def main(arguments: Sequence[str]) -> None:
    """Serve on the host and port of the arguments. A mistake of configuration is one line and exit 1."""
    try:
        host, port = arguments
        settings = load_settings(host=host, port=int(port))
        prepare_home(home())
        with holding(home()):
            asyncio.run(_serve(settings))
    except ConfigError as error:
        sys.exit(error.message)


async def _serve(settings: DemoSettings) -> None:
    keep_journal()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with demo(home(), settings):
        announce(home(), settings)
        await over.wait()
