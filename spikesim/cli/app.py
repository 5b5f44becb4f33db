"""The commands put together."""

from __future__ import annotations

from typing import Annotated

import typer

from spikesim.cli.compare import compare
from spikesim.cli.console import stdout
from spikesim.cli.encode import encode
from spikesim.cli.export import export
from spikesim.cli.failures import Guarded
from spikesim.cli.info import info
from spikesim.cli.lava import lava
from spikesim.cli.map_model import map_command
from spikesim.cli.rtl import rtl
from spikesim.cli.signals import end_by_exceptions
from spikesim.cli.simulate import simulate
from spikesim.cli.verify import verify
from spikesim.version import __version__

app = typer.Typer(
    name="spikesim",
    cls=Guarded,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # what reaches the user as a traceback is a bug, and is shown in full
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        stdout().one_line(f"spikesim {__version__}")
        raise typer.Exit


@app.callback()
def spikesim(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Map spiking DSSA language models to an event-driven core: its values, cycles, area and power."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("map")(map_command)
app.command("simulate")(simulate)
app.command("compare")(compare)
app.command("verify")(verify)
app.command("rtl")(rtl)
app.command("lava")(lava)
app.command("export")(export)
app.command("encode", context_settings={"ignore_unknown_options": True})(encode)  # so that -3 is a number
app.command("info")(info)


def run() -> None:
    """Run the command line and exit."""
    end_by_exceptions()
    app()
