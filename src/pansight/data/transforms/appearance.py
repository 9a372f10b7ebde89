"""What cameras, networks and passers-by do to images: blur, compression, things in the way."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from pansight.data.transforms.picture import Labelled


@dataclass(frozen=True)
class Blur:
    """Gaussian blur of a radius up to `radius` pixels, with a probability."""

    probability: float = 0.2
    radius: float = 1.5

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        wanted, radius = generator.random() < self.probability, generator.uniform(0.2, self.radius)
        if not wanted:
            return labelled
        image = Image.fromarray(np.ascontiguousarray(labelled.image))
        return labelled._replace(image=np.asarray(image.filter(ImageFilter.GaussianBlur(radius))))


@dataclass(frozen=True)
class Compression:
    """JPEG of a quality between the two given, 1..95, with a probability."""

    probability: float = 0.3
    quality: tuple[int, int] = (30, 90)

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        wanted = generator.random() < self.probability
        quality = int(generator.integers(self.quality[0], self.quality[1] + 1))
        if not wanted:
            return labelled
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(labelled.image)).save(file, "JPEG", quality=quality)
        return labelled._replace(image=np.asarray(Image.open(file).convert("RGB")))


@dataclass(frozen=True)
class Gray:
    """An image without colours, with a probability."""

    probability: float = 0.05

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        if generator.random() >= self.probability:
            return labelled
        gray = np.asarray(Image.fromarray(np.ascontiguousarray(labelled.image)).convert("L"))
        return labelled._replace(image=np.repeat(gray[..., None], 3, axis=2))


@dataclass(frozen=True)
class Erasing:
    """Boxes of one colour put over the image, with a probability; what they hide has no label any more.

    Zhong et al., Random Erasing (AAAI 2020), but the ids under a box become 0, as nobody
    can tell what was there. Each box covers `area` (shares of the image), with sides between 1:3 and 3:1.
    """

    probability: float = 0.25
    boxes: int = 3
    area: tuple[float, float] = (0.005, 0.04)

    def __call__(self, labelled: Labelled, generator: np.random.Generator) -> Labelled:
        if generator.random() >= self.probability:
            return labelled
        image, ids = labelled.image.copy(), labelled.ids.copy()
        height, width = labelled.size
        for _ in range(int(generator.integers(1, self.boxes + 1))):
            area = generator.uniform(*self.area) * height * width
            aspect = float(np.exp(generator.uniform(-np.log(3), np.log(3))))
            rows = min(height, max(1, round(float(np.sqrt(area * aspect)))))
            columns = min(width, max(1, round(float(np.sqrt(area / aspect)))))
            top = int(generator.integers(height - rows + 1))
            left = int(generator.integers(width - columns + 1))
            box = slice(top, top + rows), slice(left, left + columns)
            image[box] = generator.integers(0, 256, 3, dtype=np.uint8)
            ids[box] = 0
        return labelled._replace(image=image, ids=ids)
