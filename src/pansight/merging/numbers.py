"""Thresholds as the merge takes them. Apart from the settings, which are known without torch."""

from typing import TypeAlias

from torch import Tensor

Number: TypeAlias = float | Tensor
"""A threshold; in an exported graph a tensor without axes, so that it is an input and can be changed."""
