"""`lacewing plugins`: what is installed, and what each brings."""

import typer
from rich.console import Console
from rich.table import Table

from lacewing.demo.settings import load_settings
from lacewing.errors import ConfigError
from lacewing.hooks.loader import installed, load_plugins

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def show() -> None:
    """Every installed plugin; those enabled with their task types."""
    console = Console()
    try:
        settings = load_settings()
        registry = load_plugins(settings.plugins, settings.plugin_settings, settings.fallback)
    except ConfigError as error:
        console.print(f"[red]{error.message}[/red]")
        raise typer.Exit(1) from error
    table = Table("plugin", "enabled", "distribution", "version", "task types")
    types = {backend.name: ", ".join(backend.task_types) for backend in registry.backends}
    for name, plugin in sorted(installed().items()):
        enabled = "yes" if name in settings.plugins else "no"
        table.add_row(name, enabled, plugin.distribution, plugin.version, types.get(name, ""))
    console.print(table)
