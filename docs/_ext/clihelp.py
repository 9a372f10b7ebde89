"""`{cli-help}`: the verbs of the command line and their options, read from the program itself."""

import re
from typing import Any, get_args

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
            section += _paragraph(paragraph)
        items = nodes.definition_list()
        for parameter in command.params:
            names, about = _described(parameter)
            if names == "--help":
                continue
            items += nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal("", names)),
                nodes.definition("", _paragraph(about)),
            )
        section += items
        return section


def _paragraph(text: str) -> nodes.paragraph:
    """Text in which what stands in backticks is literal."""
    paragraph = nodes.paragraph()
    for number, part in enumerate(re.split(r"`([^`]+)`", " ".join(text.split()))):
        paragraph += nodes.literal("", part) if number % 2 else nodes.Text(part)
    return paragraph


def _described(parameter: Any) -> tuple[str, str]:
    """What is written on the command line, and what it means."""
    about = str(getattr(parameter, "help", None) or "")
    metavar = parameter.metavar
    if parameter.param_type_name == "argument":
        return str(metavar or parameter.name.upper()), about
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    return names if getattr(parameter, "is_flag", False) else f"{names} {metavar or _kind(parameter)}", about


def _kind(parameter: Any) -> str:
    """The type of a value, which typer and click keep in different places."""
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    kind = next(iter(get_args(kind)), kind)  # of a list, what is in it
    name = getattr(kind, "__name__", None) or getattr(getattr(parameter, "type", None), "name", "value")
    return {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "Path": "PATH"}.get(name, name.upper())


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("cli-help", CliHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
