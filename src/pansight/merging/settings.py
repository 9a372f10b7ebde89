"""The settings of a merge: which form runs, and its thresholds."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from pansight.errors import InputError

Form: TypeAlias = Literal["pruned", "fixed"]
"""`pruned`: looks at the data and does work only for masks and tiles that can matter; for hosts. `fixed`: no
shape depends on the data and nothing waits for the host; for accelerators, compiled and exported graphs.
Chosen when an engine is built; both give the same maps but for ties."""

_Settings = TypeVar("_Settings", bound="MergeSettings")


_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
}


def as_bytes(value: Any) -> Any:
    """A number of bytes, as a number or as text such as "512MB" or "2 GiB"; anything else as it is.

    Example:
        >>> as_bytes("512MB")
        512000000
    """
    if not isinstance(value, str):
        return value
    text = value.strip().upper()
    digits = text.rstrip("KMGIB ")
    unit = text[len(digits) :].strip()
    try:
        return round(float(digits) * _UNITS[unit])
    except (KeyError, ValueError) as error:
        raise ValueError("write bytes, such as 512MB") from error


class MergeSettings(BaseModel):
    """Thresholds and least areas of one method's merge; a model's configuration holds the default.

    Example:
        >>> from pansight.models.yoso import YOSOMergeSettings
        >>> YOSOMergeSettings().replaced({"keep_share": 0.5}).keep_share
        0.5
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    former_names: ClassVar[Mapping[str, str]] = {}
    """fields of configurations written before there was such a record, and what they are called in it"""
    by_category: ClassVar[tuple[str, ...]] = ("void_below_each", "calibration_each")
    """fields with a value for each category, which mean nothing to a model of others"""

    object_threshold: float = Field(default=0.2, ge=0, le=1)
    """score that a segment must reach (YOSO and EPSNet: exceed)"""
    budget: PositiveInt = 64
    """most masks per image that the fixed form merges, best first; it reports when there were more"""
    max_memory: Annotated[PositiveInt | None, BeforeValidator(as_bytes)] = None
    """most bytes that the pruned form holds besides the network's outputs, such as "512MB"; the maps stay
    the same, and take longer the lower it is. None: no limit"""
    void_below: float = Field(default=0.0, ge=0, le=1)
    """calibrated score below which a segment of the finished map becomes void"""
    void_below_each: tuple[float, ...] = ()
    """the same for each category, in their order; (): none. `pansight tune` finds them"""
    calibration: tuple[NonNegativeFloat, float] = (1.0, 0.0)
    """slope and offset: scores become sigmoid(slope * logit(score) + offset); (1, 0): as the network gives
    them"""
    calibration_each: tuple[tuple[NonNegativeFloat, float], ...] = ()
    """the same for each category, in their order, in place of `calibration`; (): none. Things and stuff of
    one network are seldom sure of themselves in the same way"""

    def replaced(self: _Settings, changes: "Mapping[str, Any] | MergeSettings | None") -> _Settings:
        """The same with some fields changed, or another record of the same kind.

        A `calibration` given takes the place of any `calibration_each`, too.

        Raises InputError, naming the field, for one that this method does not have or a value out of range.
        """
        if changes is None:
            return self
        kind = type(self)
        if isinstance(changes, MergeSettings):
            if not isinstance(changes, kind):
                raise InputError(f"this model takes {kind.__name__}, not {type(changes).__name__}")
            return changes
        for name in changes:
            if name not in kind.model_fields:
                known = ", ".join(f"merge.{field}" for field in kind.model_fields)
                raise InputError(f"this model has no merge.{name}; it has {known}")
        if "calibration" in changes and "calibration_each" not in changes:
            changes = {**changes, "calibration_each": ()}  # else that would stay the one in force
        try:
            return kind.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            problem = error.errors()[0]
            name = ".".join(str(part) for part in problem["loc"])
            reason = problem["msg"].lower()
            raise InputError(f"merge.{name} {problem['input']} is out of range: {reason}") from error

    def checked(self: _Settings, categories: int) -> _Settings:
        """The same, for a model of so many categories.

        Raises InputError, naming the field, where values by category are not one for each of them.
        """
        for name in self.by_category:
            count = len(getattr(self, name))
            if count not in (0, categories):
                raise InputError(
                    f"merge.{name} must have a value for each of the model's {categories} categories, "
                    f"got {count}"
                )
        return self


class PrioritySettings(MergeSettings):
    """The settings of all methods with a priority merge."""

    former_names: ClassVar[Mapping[str, str]] = {
        "object_threshold": "object_threshold",
        "mask_threshold": "mask_threshold",
        "overlap_threshold": "max_occlusion",
        "stuff_area": "stuff_area",
    }

    mask_threshold: float = Field(default=0.5, ge=0, le=1)
    """probability from which on a pixel belongs to a mask"""
    max_occlusion: float = Field(default=0.5, ge=0, le=1)
    """greatest share of a mask that better ones may hold; with more it is dropped"""
    stuff_area: NonNegativeInt = 4096
    """pixels of the map wanted, below which stuff is void"""


def moved_to_merge(values: Any, kind: type[MergeSettings]) -> Any:
    """The values of a configuration, with fields from before `merge` existed moved into it.

    For `model_validator(mode="before")`; such a field has precedence over the same one in `merge`.
    """
    if not isinstance(values, Mapping):
        return values
    former = {kind.former_names[name]: value for name, value in values.items() if name in kind.former_names}
    if not former:
        return values
    merge = values.get("merge", {})
    if isinstance(merge, MergeSettings):
        merge = merge.model_dump()
    rest = {name: value for name, value in values.items() if name not in kind.former_names}
    return {**rest, "merge": {**merge, **former}}
