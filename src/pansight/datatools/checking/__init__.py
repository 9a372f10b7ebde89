"""The doctor: what is wrong with a panoptic data set, file by file, and what can be fixed."""

from pansight.datatools.checking.doctor import check_files
from pansight.datatools.checking.findings import Finding, Report, SelfScore
from pansight.datatools.checking.kinds import KINDS, Kind, Severity
from pansight.datatools.checking.locate import PanopticFiles, find_panoptic_files
from pansight.datatools.checking.samples import check_samples

__all__ = [
    "KINDS",
    "Finding",
    "Kind",
    "PanopticFiles",
    "Report",
    "SelfScore",
    "Severity",
    "check_files",
    "check_samples",
    "find_panoptic_files",
]
