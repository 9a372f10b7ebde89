"""Options of every verb that runs a model: said once, shown in the group of the help that the verb names.

Each function gives the `typer.Option` of one option; `panel` is the group's title, None: the general one.
"""

from typing import Any

import typer

ENGINE_HELP = (
    "What runs the network: auto (the fastest that is installed), torch, eager (not folded), compiled (by "
    "torch.compile), onnxruntime, openvino. With ray, workers on this machine or a cluster share the work."
)


def engine_option(panel: str | None = None, *, default: str | bool = True) -> Any:
    """--engine; `default`: how the help shows the default."""
    return typer.Option(help=ENGINE_HELP, rich_help_panel=panel, show_default=default)


def device_option(panel: str | None = None) -> Any:
    """--device."""
    return typer.Option(help="auto, cpu, cuda, cuda:1, mps ...", rich_help_panel=panel)


def resize_option(panel: str | None = None) -> Any:
    """--resize; `as_resize` reads it."""
    return typer.Option(
        help="paper: the method's rule; none: only padded; or pixels of the short side "
        "(of both where the method squashes).",
        rich_help_panel=panel,
    )


def object_threshold_option(panel: str | None = None) -> Any:
    """--object-threshold."""
    return typer.Option(
        help="Short for --set merge.object_threshold=.", show_default=False, rich_help_panel=panel
    )


def void_below_option(panel: str | None = None) -> Any:
    """--void-below."""
    return typer.Option(
        "--void-below",
        help="Segments with a lower score, 0..1, become void: what the model does not know. Short for "
        "--set merge.void_below=.",
        show_default=False,
        rich_help_panel=panel,
    )


def settings_option(panel: str | None = None) -> Any:
    """--set; `pansight.cli.settings.merge_settings` reads it."""
    return typer.Option(
        "--set",
        metavar="merge.KEY=VALUE",
        help="A threshold of the model, such as merge.stuff_area=256; may be repeated.",
        show_default=False,
        rich_help_panel=panel,
    )


def batch_size_option(panel: str | None = None) -> Any:
    """--batch-size."""
    return typer.Option(min=1, help="Most images per batch.", rich_help_panel=panel)
