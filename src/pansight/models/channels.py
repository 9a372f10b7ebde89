"""Which channel of a network stands for which category, where things and stuff have maps of their own."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from pansight.categories import Categories


class Channels(NamedTuple):
    """Tables between categories and channels."""

    thing_categories: Int[Tensor, " t"]
    """contiguous category of each thing channel, rising"""
    stuff_categories: Int[Tensor, " s"]
    """of each stuff channel that stands for one, rising"""
    thing_channels: Int[Tensor, " n"]
    """thing channel of each category; -1 for stuff"""
    stuff_channels: Int[Tensor, " n"]
    """stuff channel of each category"""


def channels_of(categories: Categories, first_stuff: int, of_things: int) -> Channels:
    """The tables; stuff channels count from `first_stuff`, and things have the stuff channel `of_things`.

    Example:
        >>> channels_of(Categories.builtin("scenes"), 1, 0).stuff_channels.min()
        tensor(0)
    """
    things = torch.from_numpy(categories.thing_indices.copy())
    stuff = torch.from_numpy(categories.stuff_indices.copy())
    thing_channels = torch.full((len(categories),), -1)
    thing_channels[things] = torch.arange(len(things))
    stuff_channels = torch.full((len(categories),), of_things)
    stuff_channels[stuff] = torch.arange(len(stuff)) + first_stuff
    return Channels(things, stuff, thing_channels, stuff_channels)
