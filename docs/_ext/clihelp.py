"""`{cli-help}`: the verbs of the command line and their options, read from the program itself."""

from typing import Any

import click
import typer.main
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx


def verbs(command: Any, path: str) -> list[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    if hasattr(command, "commands"):
        found = []
        for name, child in command.commands.items():
            found += verbs(child, f"{path} {name}")
        return found
    return [(path, command)]


class CliHelp(Directive):
    """A section a verb: what it does, then its options."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        from pansight.cli.main import app

        return [
            self._section(path, command) for path, command in verbs(typer.main.get_command(app), "pansight")
        ]

    def _section(self, path: str, command: Any) -> nodes.section:
        section = nodes.section(ids=[path.replace(" ", "-")])
        section += nodes.title("", "", nodes.literal("", path))
        for paragraph in (command.help or "").replace("\b", "").split("\n\n"):
            section += nodes.paragraph("", " ".join(paragraph.split()))
        items = nodes.definition_list()
        context = click.Context(command)
        for parameter in command.params:
            names, about = _described(parameter, context)
            if names == "--help":
                continue
            items += nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal("", names)),
                nodes.definition("", nodes.paragraph("", " ".join(about.split()) or " ")),
            )
        section += items
        return section


def _described(parameter: Any, context: click.Context) -> tuple[str, str]:
    about = str(getattr(parameter, "help", None) or "")
    if parameter.param_type_name == "argument":
        return str(parameter.make_metavar(context)), about
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    metavar = "" if getattr(parameter, "is_flag", False) else f" {parameter.metavar or _kind(parameter)}"
    return names + metavar, about


def _kind(parameter: Any) -> str:
    return str(parameter.type.name).upper()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("cli-help", CliHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
