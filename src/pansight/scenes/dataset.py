"""Scenes and clips as samples: images with their panoptic truth."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, UInt8

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.panoptic import PanopticMap
from pansight.panoptic.sample import Sample
from pansight.scenes.layout import sample_world
from pansight.scenes.render import code_names, render
from pansight.scenes.world import World

_SHORTEST, _LONGEST = 32, 8192

HELD_OUT_SCENES = {"val": (1_000_001, 100), "test": (1_000_002, 300)}
"""Seeds that no training uses, and how many scenes: to choose weights by, and for the final figure."""


def render_scene(seed: int, index: int, height: int, width: int) -> Sample:
    """Scene `index` of the endless series of a seed.

    The same arguments give the same bytes in any process and in any order of calls. Segment ids are 1..n,
    stuff first; every pixel belongs to a segment. A thing is left out of the scene unless it covers 0.25 % of
    the image and 30 % of its own area is visible, a kind of stuff unless it covers 0.6 % (`layers.seen`).

    Args:
        seed, index: not negative.
        height, width: pixels, 32..8192.

    Raises InputError for arguments out of range.

        >>> sample = render_scene(seed=3, index=0, height=64, width=96)
        >>> sample.image.shape, sample.panoptic.ids.shape
        ((64, 96, 3), (64, 96))
    """
    _check(seed, index, height, width)
    world = sample_world(seed, index, height, width)
    image, codes = render(world, height, width)
    present = np.flatnonzero(np.bincount(codes.ravel())).tolist()
    new_id = np.zeros(256, np.int32)
    new_id[present] = np.arange(1, len(present) + 1)
    names = code_names(world)
    table = [(int(new_id[code]), names[code]) for code in present]
    return _sample(image, new_id[codes], table, index, _name(seed, index))


def render_clip(seed: int, index: int, height: int, width: int, frames: int) -> list[Sample]:
    """Scene `index` in motion: vehicles drive, people and animals walk, birds fly, the camera pans.

    The first image is `render_scene`'s. A thing, and a kind of stuff, has the same id in all frames in
    which it is seen, and no other ever gets it, so ids have gaps. A clip is a prefix of every longer one.

    Args:
        seed, index, height, width: as for `render_scene`. frames: at least 1; 25 per second look natural.

    Raises InputError for arguments out of range.

        >>> [sample.image.shape for sample in render_clip(3, 1, 64, 96, frames=2)]
        [(64, 96, 3), (64, 96, 3)]
    """
    _check(seed, index, height, width)
    if frames < 1:
        raise InputError(f"frames must be positive, got {frames}")
    world = sample_world(seed, index, height, width)
    return [_frame(world, seed, index, height, width, frame) for frame in range(frames)]


def _frame(world: World, seed: int, index: int, height: int, width: int, frame: int) -> Sample:
    names = code_names(world)
    image, codes = render(world, height, width, frame)
    table = [(code, names[code]) for code in np.flatnonzero(np.bincount(codes.ravel())).tolist()]
    name = f"clip-{seed}-{index:06d}-{frame:04d}"
    return _sample(image, codes.astype(np.int32), table, name, f"{name}.png")


class SceneClips(Sequence[Sample]):
    """Clips of a seed as a data set, frame after frame; ids last through each clip.

    Holds numbers only. `clips` says which positions are whose.
    """

    def __init__(self, seed: int, size: tuple[int, int], clips: int, frames: int, offset: int = 0) -> None:
        """`size` is (height, width) in pixels, `frames` of each clip. Raises InputError if out of range."""
        height, width = size
        _check(seed, offset, height, width)
        if clips < 0 or frames < 1:
            raise InputError(f"clips must be 0 or more and frames 1 or more, got {clips} and {frames}")
        self.seed, self.size, self.offset = seed, (height, width), offset
        self.frames = frames
        self._count = clips

    @property
    def categories(self) -> Categories:
        """The built-in set "scenes"."""
        return Categories.builtin("scenes")

    @property
    def clips(self) -> dict[str, range]:
        """The positions of each clip's frames."""
        return {
            f"clip-{self.seed}-{self.offset + clip:06d}": range(clip * self.frames, (clip + 1) * self.frames)
            for clip in range(self._count)
        }

    @property
    def names(self) -> list[str]:
        """What the image of each frame would be called."""
        return [f"{name}.png" for name in self.image_ids]

    @property
    def image_ids(self) -> list[str]:
        """Clip and frame of each position."""
        return [f"{clip}-{frame:04d}" for clip in self.clips for frame in range(self.frames)]

    def truth(self, position: int) -> PanopticMap:
        """The panoptic map of a frame, which is rendered for it. Raises IndexError outside the range."""
        return self[position].panoptic

    def __len__(self) -> int:
        return self._count * self.frames

    def __getitem__(self, position: int) -> Sample:  # type: ignore[override]
        """The frame at a position, counted from the end if negative. Raises IndexError outside the range."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"frame {position} of {len(self)}")
        clip, frame = divmod(position % len(self), self.frames)
        index = self.offset + clip
        return _frame(sample_world(self.seed, index, *self.size), self.seed, index, *self.size, frame)


class SceneDataset(Sequence[Sample]):
    """The scenes offset .. offset + length - 1 of a seed as a map-style data set.

    Holds numbers only, so it is cheap to send to the workers of a loader. Disjoint ranges of one seed share
    no scene: train on one, test on another.

        >>> scenes = SceneDataset(3, (64, 96), 2)
        >>> len(scenes), scenes[1].file_name == scenes[0].file_name
        (2, False)
    """

    def __init__(self, seed: int, size: tuple[int, int], length: int, offset: int = 0) -> None:
        """`size` is (height, width) in pixels. Raises InputError for arguments out of range."""
        height, width = size
        _check(seed, offset, height, width)
        if length < 0:
            raise InputError(f"length must be 0 or more, got {length}")
        self.seed = seed
        self.size = (height, width)
        self.length = length
        self.offset = offset

    @property
    def categories(self) -> Categories:
        """The built-in set "scenes": 10 kinds of things, 8 of stuff."""
        return Categories.builtin("scenes")

    @property
    def names(self) -> Sequence[str]:
        """What the image of each scene would be called."""
        return _Names(self)

    @property
    def image_ids(self) -> range:
        """The number of each scene in the series of its seed."""
        return range(self.offset, self.offset + self.length)

    def truth(self, position: int) -> PanopticMap:
        """The panoptic map of a scene, which is rendered for it. Raises IndexError outside the range."""
        return self[position].panoptic

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> Sample:  # type: ignore[override]
        """The scene at a position, counted from the end if negative. Raises IndexError outside the range."""
        if not -self.length <= position < self.length:
            raise IndexError(f"scene {position} of {self.length}")
        return render_scene(self.seed, self.offset + position % self.length, *self.size)


class _Names(Sequence[str]):
    """The names of a data set's scenes, which may be too many for a list."""

    def __init__(self, scenes: SceneDataset) -> None:
        self._scenes = scenes

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, position: int) -> str:  # type: ignore[override]
        return _name(self._scenes.seed, self._scenes.image_ids[position])


def _name(seed: int, index: int) -> str:
    return f"scene-{seed}-{index:06d}.png"


def _sample(
    image: UInt8[np.ndarray, "h w 3"],
    ids: Int32[np.ndarray, "h w"],
    table: list[tuple[int, str]],
    image_id: int | str,
    file_name: str,
) -> Sample:
    categories = Categories.builtin("scenes")
    rows = [(id, categories.index(name)) for id, name in table]
    return Sample(image, PanopticMap.from_table(ids, rows, categories), image_id, file_name)


def _check(seed: int, index: int, height: int, width: int) -> None:
    if seed < 0 or index < 0:
        raise InputError(f"scene {index} of seed {seed} does not exist; both start at 0")
    if not (_SHORTEST <= height <= _LONGEST and _SHORTEST <= width <= _LONGEST):
        raise InputError(
            f"a scene cannot be {width} x {height} pixels; both sides must be {_SHORTEST} to {_LONGEST}"
        )
