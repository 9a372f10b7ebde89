"""Numbers as JSON files hold them: whole, or written as text, or not numbers at all."""

import math
from typing import Any, NamedTuple


class Number(NamedTuple):
    """What a value of a JSON means as a whole number: `value` is None where it is not one.

    `fault` says what is wrong with how it is written, nothing where all is well.
    """

    value: int | None
    fault: str = ""


def whole(value: Any, *, flag: bool = False) -> Number:
    """Read a whole number; a `flag` may be true or false, too.

    Numbers in text and whole floats have a value and a fault; fractions, NaN and the rest have only a fault.
    """
    if isinstance(value, bool):
        return Number(int(value)) if flag else Number(None, f"is {value}, not a number")
    if isinstance(value, int):
        return Number(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return Number(None, f"is {value}")
        if value % 1:
            return Number(None, f"is {value}, not a whole number")
        return Number(int(value), f"is {value}, not {int(value)}")
    if isinstance(value, str):
        try:
            return Number(int(value.strip()), f"is the string {value!r}")
        except ValueError:
            return Number(None, f"is the text {value!r:.40}")
    return Number(None, "is missing" if value is None else f"is {value!r:.40}")


def measure(value: Any) -> tuple[float | None, str]:
    """Read a length or an area, for which 20.0 is as good as 20: the value and what is wrong with it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (float(value), "") if math.isfinite(value) else (None, f"is {value}")
    number = whole(value)
    return None if number.value is None else float(number.value), number.fault
