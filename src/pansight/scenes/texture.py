"""Noise fields that give surfaces their grain.

They are made once per process from a fixed seed, grown with integer arithmetic (Pillow's resampling of 8-bit
images), so they depend neither on the machine nor on which scene asked first.
"""

from functools import cache

import numpy as np
from jaxtyping import Float32, Int8, Shaped, UInt8
from PIL import Image

SIDE = 512
"""Fields repeat after this many texels in both directions."""
_SEED = 20230618
_GRAINS = 1 << 22

_CELLS: dict[str, tuple[tuple[int, int, float], ...]] = {
    # (height, width of a cell in texels, weight), coarse to fine
    "leaf": ((16, 16, 0.5), (8, 8, 0.8), (4, 4, 0.9), (2, 2, 0.5)),
    "ground": ((64, 128, 0.8), (32, 64, 0.7), (8, 16, 0.5), (2, 4, 0.7), (1, 2, 0.4)),
    "ripple": ((8, 128, 0.6), (4, 64, 1.0), (2, 32, 0.8)),
    "cloud": ((64, 128, 1.0), (32, 64, 0.6), (16, 32, 0.34), (8, 16, 0.18), (4, 8, 0.1)),
}


@cache
def field(name: str) -> UInt8[np.ndarray, "512 512"]:
    """The repeating field of that name ("leaf", "ground", "ripple" or "cloud"), values 0..255 around 128."""
    generator = np.random.Generator(
        np.random.PCG64(np.random.SeedSequence([_SEED, sorted(_CELLS).index(name)]))
    )
    total = np.zeros((SIDE, SIDE), np.float32)
    for tall, wide, weight in _CELLS[name]:
        cells = generator.integers(0, 256, (SIDE // tall, SIDE // wide), dtype=np.uint8)
        wrapped = np.pad(cells, 4, mode="wrap")
        rows, columns = wrapped.shape
        grown = Image.fromarray(wrapped).resize((columns * wide, rows * tall), Image.Resampling.BICUBIC)
        total += (
            weight * np.asarray(grown, np.float32)[4 * tall : 4 * tall + SIDE, 4 * wide : 4 * wide + SIDE]
        )
    total -= total.mean(dtype=np.float64)
    spread = np.float32(52.0 / total.std(dtype=np.float64))
    values: np.ndarray = np.clip(np.rint(total * spread + 128.0), 0, 255).astype(np.uint8)
    return values


def sample(
    name: str, height: int, width: int, texels: float, shift: tuple[int, int]
) -> Float32[np.ndarray, "{height} {width}"]:
    """A field over an image, values in [-1, 1], `texels` texels a pixel, moved by `shift` (y, x) texels."""
    rows = min(8192, max(2, round(height * texels)))
    columns = min(8192, max(2, round(width * texels)))
    tile = field(name)
    if shift[0] % SIDE + rows <= SIDE and shift[1] % SIDE + columns <= SIDE:
        y, x = shift[0] % SIDE, shift[1] % SIDE
        crop = tile[y : y + rows, x : x + columns]
    else:
        crop = tile.take(np.arange(shift[0], shift[0] + rows), 0, mode="wrap")
        crop = crop.take(np.arange(shift[1], shift[1] + columns), 1, mode="wrap")
    return _signed(_fit(crop, height, width))


def sample_ground(
    name: str,
    depths: Float32[np.ndarray, "h"],
    width: int,
    texels: float,
    shift: tuple[int, int],
    growth: float,
) -> Float32[np.ndarray, "h {width}"]:
    """A field laid on the ground: rows lie closer together towards the horizon.

    Args:
        depths: depth (0 horizon .. 1 lower border) of each row.
        growth: how much larger the field looks at depth 1 than at depth 0.
    """
    columns = max(2, min(8192, round(width * texels)))
    tile = field(name).take(np.arange(shift[1], shift[1] + columns), 1, mode="wrap")
    tile = _fit(tile, SIDE, width)
    # rows a texel grow linearly with depth, so the texel is the logarithm of the depth
    rise = np.log1p(depths.astype(np.float64) * (growth - 1.0)) / np.log(growth)
    position = rise * (len(depths) * texels * 1.6) + shift[0]
    first = np.floor(position)
    part = (position - first).astype(np.float32)[:, None]
    index = first.astype(np.int64)
    near = _signed(tile.take(index, 0, mode="wrap"))
    near += (_signed(tile.take(index + 1, 0, mode="wrap")) - near) * part
    return near


def _signed(values: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    signed = values.astype(np.float32)
    signed -= np.float32(128.0)
    signed *= np.float32(1 / 128)
    return signed


def _fit(values: Shaped[np.ndarray, "a b"], height: int, width: int) -> UInt8[np.ndarray, "{height} {width}"]:
    if values.shape == (height, width):
        return values
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC))


@cache
def _grain_bank() -> Int8[np.ndarray, "n"]:
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([_SEED, 1000])))
    normal = generator.standard_normal(_GRAINS, dtype=np.float32)
    bank: np.ndarray = np.clip(np.rint(normal * 24.0), -127, 127).astype(np.int8)
    return bank


def grain(height: int, width: int, start: int) -> Float32[np.ndarray, "3 {height} {width}"]:
    """Sensor noise with standard deviation 1, cut from a bank at place `start`."""
    bank = _grain_bank()
    count = height * width * 3
    start %= _GRAINS
    if start + count <= _GRAINS:
        values = bank[start : start + count]
    else:
        values = bank.take(np.arange(start, start + count), mode="wrap")
    noise: np.ndarray = values.reshape(3, height, width) * np.float32(1 / 24)
    return noise
