"""`spikesim info`: what a checkpoint, or a folder that `spikesim map` wrote, holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikesim.cli.console import print_json, stdout
from spikesim.errors import CheckpointError
from spikesim.support.json_file import parse_json
from spikesim.support.reading import read_text, reading

if TYPE_CHECKING:
    from rich.table import Table

    from spikesim.results.report import Report

NETWORKS = (".pt2", ".nir")
"""Suffixes of networks; anything else is a checkpoint of a language model, or a mapping."""

_REPORT = "a report of this version of spikesim"


def info(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL | DIR",
            help="A checkpoint, a .pt2 or .nir network, or what `spikesim map` wrote.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, sizes in bytes.")] = False,
) -> None:
    """Show the layers, parameters and sizes of a model, or the summary of a mapped one."""
    from spikesim.report import JSON_NAME

    if os.path.lexists(path / JSON_NAME):
        _show_report(path / JSON_NAME, as_json)
    elif path.suffix in NETWORKS:
        _show_network(path, as_json)
    else:
        _show_model(path, as_json)


def _show_report(path: Path, as_json: bool) -> None:
    from spikesim.cli.outcome import bases_table, summary_table

    text, report = _read_report(path)
    # All of it is made before anything is printed: a number may be of the right type and yet beyond any other.
    with reading(path, _REPORT, CheckpointError):
        tables = [summary_table(report)]
        if report.comparison is not None:
            tables.append(bases_table(report.comparison, report.model.item))
    if as_json:
        print_json(text)
        return
    console = stdout()
    model = report.model
    layers = ", ".join(f"{count} {kind}" for kind, count in model.layers.items())
    console.one_line(f"{model.name}: {model.parameters:,} parameters; layers: {layers}")
    console.one_line(f"made by: {report.command}", style="dim")
    for table in tables:
        console.print(table)


def _read_report(path: Path) -> tuple[str, Report]:
    from pydantic import ValidationError

    from spikesim.results.report import Report

    text = read_text(path, _REPORT, CheckpointError)
    content = parse_json(text, path, _REPORT, CheckpointError)
    with reading(path, _REPORT, CheckpointError):
        try:
            return text, Report.model_validate(content)
        except ValidationError:
            raise CheckpointError(f"{path} must be {_REPORT}") from None


def _show_model(path: Path, as_json: bool) -> None:
    from spikesim.cli.model_facts import model_facts
    from spikesim.mapping.dssa.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(path)
    shapes = {name: checkpoint.shape(name) for name in checkpoint.names()}
    facts = model_facts(checkpoint.config, shapes)
    if as_json:
        print_json(json.dumps(facts, indent=2))
        return
    console = stdout()
    for table in _tables(path.resolve().name, facts):
        console.print(table)


def _show_network(path: Path, as_json: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from spikesim.mapping.graph.facts import graph_facts
    from spikesim.mapping.graph.frontend import read_graph
    from spikesim.report.numbers import si, size, whole

    facts = graph_facts(read_graph(path))
    if as_json:
        print_json(json.dumps(facts, indent=2))
        return
    state = ", keeps state from step to step" if facts["keeps_state"] else ""
    ends = f"input {_shape(facts['input_shape'])}, output {_shape(facts['output_shape'])}{state}"
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(f"{path.resolve().name}: {ends}"),
        title_justify="left",
        show_footer=True,
    )
    sizes = facts["sizes"]
    footers = ("", "", f"INT8 weights {size(sizes['int8_weight_bytes'])}")
    for name, footer in zip(("layer", "kind", "output"), footers, strict=True):
        table.add_column(name, Text(footer))
    table.add_column("parameters", whole(sizes["parameters"]), justify="right")
    table.add_column("multiplications", si(sizes["macs"]), justify="right")
    for node in facts["nodes"]:
        table.add_row(
            Text(node["name"]),
            node["kind"],
            _shape(node["shape"]),
            whole(node["parameters"]),
            si(node["macs"]),
        )
    stdout().print(table)


def _shape(sizes: tuple[int, ...]) -> str:
    return " × ".join(map(str, sizes))


def _tables(name: str, facts: dict[str, Any]) -> tuple[Table, Table]:
    """Return a table of layers by kind, and one of everything else."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from spikesim.report.numbers import size, whole

    layers = Table(box=box.SIMPLE_HEAD, title=Text(f"{name}, each layer of a kind"), title_justify="left")
    layers.add_column("kind")
    for column in ("layers", "parameters", "INT8 weights", "state", "cache", "cache/token"):
        layers.add_column(column, justify="right")
    for kind, entry in facts["layers"].items():
        layers.add_row(
            kind,
            whole(entry["number"]),
            whole(entry["parameters"]),
            size(entry["int8_weight_bytes"]),
            size(entry["state_bytes"]),
            size(entry["cache_bytes"]),
            size(entry["cache_bytes_per_token"]),
        )
    rest = Table(box=box.SIMPLE_HEAD, show_header=False)
    rest.add_column("name")
    rest.add_column("value", justify="right")
    for key, value in facts["sizes"].items():
        shown = size(value) if "bytes" in key else whole(value)
        rest.add_row(key.replace("_bytes", "").replace("_", " ").replace("int8", "INT8"), shown)
    rest.add_section()
    for key, value in facts["config"].items():
        rest.add_row(key, Text(_setting(value)))
    return layers, rest


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)
