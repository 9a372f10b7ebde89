"""Several images in one: side by side, or in a grid, each with its title."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from pansight.drawing.legends import BACKGROUND, INK
from pansight.drawing.pictures import checked_picture
from pansight.drawing.stencils import lay
from pansight.drawing.text import one_line, shortened, text_stencil
from pansight.errors import InputError


def side_by_side(
    images: Sequence[Shaped[np.ndarray, "..."]], titles: Sequence[str] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """One row of RGB images (uint8 [h, w, 3], of any sizes, at least one), aligned at the top, with titles.

    Raises InputError when there are no images, one is not RGB, or there is not one title per image.
    """
    return contact_sheet(images, columns=max(len(images), 1), titles=titles)


def contact_sheet(
    images: Sequence[Shaped[np.ndarray, "..."]],
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    *,
    width: int | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """A grid of RGB images (uint8 [h, w, 3], of any sizes, at least one), row by row, with titles above.

    `columns` defaults to what makes the grid about square. With `width` (pixels) every image is first
    scaled to that width, its aspect kept. Titles too long for their image are cut. Raises InputError
    when there are no images, one is not RGB, there is not one title per image, or a number is below 1.
    """
    if not len(images):
        raise InputError("a sheet needs at least one image")
    if titles is not None and len(titles) != len(images):
        raise InputError(f"{len(titles)} titles for {len(images)} images; give one per image")
    columns = int(np.ceil(np.sqrt(len(images)))) if columns is None else columns
    for what, value in (("columns", columns), ("width", 1 if width is None else width)):
        if value < 1:
            raise InputError(f"{what} of a sheet must be at least 1, not {value}")
    pictures = [_scaled(checked_picture(image, "a sheet"), width) for image in images]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)

    widths = [max(picture.shape[1] for picture in pictures[column::columns]) for column in range(columns)]
    heights = [
        max(picture.shape[0] for picture in pictures[row * columns : (row + 1) * columns])
        for row in range(rows)
    ]
    size = min(max(round(np.median(widths) / 26), 11), 40)
    bar = 0 if titles is None else 2 * size
    gap = max(round(np.median(widths) / 48), 4)
    lefts = gap + np.cumsum([0, *(value + gap for value in widths)])
    tops = gap + np.cumsum([0, *(value + bar + gap for value in heights)])
    sheet = np.empty((int(tops[-1]), int(lefts[-1]), 3), dtype=np.uint8)
    sheet[...] = BACKGROUND
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        height, own = picture.shape[:2]
        x = int(lefts[column]) + (widths[column] - own) // 2
        y = int(tops[row]) + bar
        sheet[y : y + height, x : x + own] = picture
        if titles is not None:
            letters = text_stencil(shortened(one_line(titles[index], 200), size, widths[column]), size)
            left = int(lefts[column]) + (widths[column] - letters.shape[1]) // 2
            lay(sheet, letters, left, int(tops[row]) + (bar - letters.shape[0]) // 2, INK)
    return sheet


def _scaled(picture: UInt8[np.ndarray, "h w 3"], width: int | None) -> UInt8[np.ndarray, "h2 w2 3"]:
    if width is None or picture.shape[1] == width:
        return picture
    height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))
