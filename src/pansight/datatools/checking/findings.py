"""The doctor's report: what was found, file by file, and what was done about it."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pansight.datatools.checking.kinds import KINDS, Kind, Severity


class Finding(NamedTuple):
    """One kind of problem in one file: what is wrong there, in one line, and in how many cases.

    `fixable`: it can be fixed safely; after a run that fixes, it was.
    """

    kind: Kind
    file: str
    text: str
    fixable: bool = False
    cases: int = 1


class Notes:
    """Gathers what is wrong with one file, case by case; cases of one kind become one finding."""

    SHOWN = 4
    """Cases listed in full; the others are counted."""

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = str(file)
        self._cases: dict[tuple[Kind, bool], list[str]] = {}
        self._counts: Counter[tuple[Kind, bool]] = Counter()

    def add(self, kind: Kind, text: str, *, fixable: bool = False) -> None:
        """Note one case."""
        key = (kind, fixable)
        self._counts[key] += 1
        cases = self._cases.setdefault(key, [])
        if len(cases) < self.SHOWN:
            cases.append(text)

    def findings(self) -> list[Finding]:
        """One finding for each kind, in the order in which the kinds came up."""
        found = []
        for (kind, fixable), cases in self._cases.items():
            count = self._counts[kind, fixable]
            more = f" (and {count - len(cases)} more)" if count > len(cases) else ""
            found.append(Finding(kind, self.file, "; ".join(cases) + more, fixable, count))
        return found


class SelfScore(NamedTuple):
    """The truth of one set scored against itself by the rules of the reference evaluator.

    `pq`, a fraction of 1, is None where nothing counts; `images` were scored, `refused` could not be.
    `fixed_pq` and `fixed_refused` are the same for the set with what can be fixed safely fixed.
    """

    file: str
    pq: float | None
    images: int
    refused: int
    fixed_pq: float | None = None
    fixed_refused: int = 0

    @property
    def perfect(self) -> bool:
        """Whether every image could be scored, and nothing was lost (PQ 100, exactly)."""
        return self.refused == 0 and self.pq == 1.0

    @property
    def perfect_once_fixed(self) -> bool:
        """The same of the fixed set."""
        return self.fixed_refused == 0 and self.fixed_pq == 1.0


@dataclass
class Report:
    """What the doctor found at `location`, and did.

    `images` and `segments`: how many were annotated; `scores`: one for each set. `fixed`: the folder that
    the fixed files were written to, `rewritten` how many panoptic PNGs of them differ from the old ones.
    """

    location: str
    images: int = 0
    segments: int = 0
    findings: list[Finding] = field(default_factory=list)
    scores: list[SelfScore] = field(default_factory=list)
    fixed: str | None = None
    rewritten: int = 0

    def add(self, findings: Iterable[Finding]) -> None:
        """Take over findings, in order."""
        self.findings.extend(findings)

    def merge(self, other: "Report") -> None:
        """Take over what was found in another part of the same data set."""
        self.images += other.images
        self.segments += other.segments
        self.findings += other.findings
        self.scores += other.scores

    def counts(self) -> Mapping[Kind, int]:
        """How many cases there are of each kind that was found, in the order of `KINDS`."""
        found: Counter[str] = Counter()
        for finding in self.findings:
            found[finding.kind.code] += finding.cases
        return {kind: found[code] for code, kind in KINDS.items() if found[code]}

    def by_file(self) -> Mapping[str, list[Finding]]:
        """The problems of each file, worst first; files in the order of their first problem."""
        files: dict[str, list[Finding]] = {}
        for finding in self.findings:
            files.setdefault(finding.file, []).append(finding)
        order = list(Severity)
        for rows in files.values():
            rows.sort(key=lambda finding: order.index(finding.kind.severity))
        return files

    def remaining(self) -> list[Finding]:
        """The problems that are still there: all of them, less what was fixed if something was fixed."""
        return [finding for finding in self.findings if not (self.fixed and finding.fixable)]

    def worst(self) -> Severity | None:
        """The severity of the worst problem that remains; None when there is none, or only notes."""
        left = {finding.kind.severity for finding in self.remaining()}
        return next((one for one in (Severity.ERROR, Severity.WARNING) if one in left), None)

    def to_json(self) -> dict[str, Any]:
        """Everything, for machines; `problems` file by file."""
        worst = self.worst()
        return {
            "location": self.location,
            "images": self.images,
            "segments": self.segments,
            "worst": worst.value if worst else None,
            "scores": [score._asdict() for score in self.scores],
            "fixed": self.fixed,
            "rewritten": self.rewritten,
            "counts": {kind.code: count for kind, count in self.counts().items()},
            "kinds": {
                kind.code: {
                    "severity": kind.severity.value,
                    "title": kind.title,
                    "remedy": kind.remedy,
                    "fix": kind.fix or None,
                }
                for kind in self.counts()
            },
            "problems": [
                {
                    "file": file,
                    "kind": finding.kind.code,
                    "severity": finding.kind.severity.value,
                    "text": finding.text,
                    "cases": finding.cases,
                    "fixable": finding.fixable,
                }
                for file, rows in self.by_file().items()
                for finding in rows
            ],
        }
