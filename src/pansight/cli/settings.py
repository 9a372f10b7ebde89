"""`--set merge.KEY=VALUE`: a model's thresholds on the command line."""

from collections.abc import Sequence
from typing import Any

from pansight.errors import InputError


def merge_settings(
    options: Sequence[str] | None, object_threshold: float | None = None, void_below: float | None = None
) -> dict[str, Any]:
    """Values by the names of `MergeSettings`, read as YAML; the last of a name counts.

    Raises InputError for anything not written as merge.KEY=VALUE. Example:
        >>> merge_settings(["merge.stuff_area=256"])
        {'stuff_area': 256}
    """
    changes: dict[str, Any] = {}
    if object_threshold is not None:
        changes["object_threshold"] = object_threshold
    if void_below is not None:
        changes["void_below"] = void_below
    if options:
        import yaml
    for option in options or ():
        key, equals, value = option.partition("=")
        name = key.removeprefix("merge.")
        if not equals or not name or name == key:
            raise InputError(f"--set {option}: write merge.KEY=VALUE, such as merge.stuff_area=256")
        try:
            changes[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {option}: {value!r} is not a YAML value; put it in quotes") from error
    return changes
