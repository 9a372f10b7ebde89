"""Remarks on data that can be scored but looks wrong, kept in bounded memory."""

from collections.abc import Mapping, Sequence
from typing import Any

EXAMPLES = 20
"""Remarks of one kind kept in full; the others are counted."""


class EvaluationWarning(UserWarning):
    """The data could be scored, but something in it deserves a look."""


class Remarks:
    """Remarks by kind: a count of each, and the first few in full."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, text: str) -> None:
        """Note one remark."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(text)

    def merge(self, other: "Remarks") -> None:
        """Take over the remarks of another collection."""
        for kind, count in other._counts.items():
            self._counts[kind] = self._counts.get(kind, 0) + count
            examples = self._examples.setdefault(kind, [])
            examples += other._examples[kind][: EXAMPLES - len(examples)]

    def state(self) -> dict[str, tuple[int, list[str]]]:
        """By kind: the count, and the remarks kept in full. `from_state` makes them anew."""
        return {kind: (count, list(self._examples[kind])) for kind, count in self._counts.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Sequence[Any]]) -> "Remarks":
        """The remarks that `state` was taken from; it may have been JSON in between."""
        remarks = cls()
        for kind, (count, examples) in state.items():
            remarks._counts[kind] = count
            remarks._examples[kind] = list(examples)
        return remarks

    @property
    def counts(self) -> Mapping[str, int]:
        """How many remarks there are of each kind."""
        return dict(self._counts)

    def lines(self) -> tuple[str, ...]:
        """One line a remark; where a kind has too many, a last line says how many more."""
        lines = []
        for kind, count in self._counts.items():
            lines += [f"{kind}: {text}" for text in self._examples[kind]]
            if count > EXAMPLES:
                lines.append(f"{kind}: {count - EXAMPLES} more")
        return tuple(lines)
