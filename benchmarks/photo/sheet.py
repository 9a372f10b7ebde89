"""A sheet of predictions, to be looked at: images of a validation split beside truth and prediction.

    python benchmarks/photo/sheet.py panoptic-fcn-photo FOLDER/photos/facade/panoptic_val.json sheet.jpg
    python benchmarks/photo/sheet.py panoptic-fcn-photo FOLDER_OF_IMAGES sheet.jpg

Images are taken at equal steps through the split, none is picked. Sheets show other people's photographs and
are not part of the repository.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import pansight
from pansight.data.labelling import find_labelling
from pansight.data.opening import open_dataset
from pansight.drawing import overlay
from pansight.drawing.sheets import contact_sheet
from pansight.panoptic.labelling import only_categories
from pansight.runtime.images import read_image
from pansight.runtime.inputs import find_pictures


def main() -> None:
    """Predict, draw, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a name, or a file")
    parser.add_argument("source", type=Path, help="COCO panoptic JSON, or a folder of images")
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--void-below", type=float, default=0.0)
    options = parser.parse_args()
    segmenter = pansight.load(
        str(options.model), engine="torch", merge={"void_below": options.void_below}, device="cpu"
    )
    cells: list[np.ndarray] = []
    titles: list[str] = []
    if options.source.is_dir():
        for path in find_pictures([str(options.source)])[0]:
            image = read_image(path)
            cells += [image, overlay(image, segmenter(image))]
            titles += [path.name, "prediction"]
        columns = 4
    else:
        dataset = open_dataset(options.source)
        labelling = find_labelling(options.source, dataset.categories)
        for index in np.linspace(0, len(dataset) - 1, options.count).astype(int).tolist():
            sample = dataset[index]
            found = segmenter(sample.image)
            if labelling is not None:
                found = only_categories(found, labelling.annotated)
            cells += [sample.image, overlay(sample.image, sample.panoptic), overlay(sample.image, found)]
            titles += [sample.file_name, "truth", "prediction, labelled categories"]
        columns = 3
    sheet = contact_sheet(cells, columns=columns, titles=titles, width=360)
    Image.fromarray(sheet).save(options.output, quality=85)


if __name__ == "__main__":
    main()
