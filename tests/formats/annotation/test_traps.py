"""What real exports of tools have in them that a straightforward reader gets wrong, one test each."""

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.data.opening import open_dataset
from pansight.errors import DataError
from pansight.formats.annotation import FORMATS
from pansight.formats.annotation.brush import decode_brush, encode_brush
from pansight.formats.annotation.fiftyone import FiftyOneReader
from pansight.formats.annotation.objects import AnnotatedImage, painted
from pansight.panoptic import PanopticMap

Row = dict[str, Any]


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels, mode=mode).save(stream, format="PNG")
    return stream.getvalue()


def areas(image: AnnotatedImage) -> list[tuple[str, int, tuple[int, int, int, int]]]:
    return [(one.label, one.area, one.box) for one in image.objects]


# CVAT


def cvat(folder: Path, shapes: str, size: tuple[int, int] = (8, 6)) -> AnnotatedImage:
    file = folder / "annotations.xml"
    file.write_text(
        f'<annotations><version>1.1</version><image id="0" name="a.png" width="{size[0]}" '
        f'height="{size[1]}">{shapes}</image></annotations>'
    )
    return FORMATS["cvat"].reader(file).read(0)


def test_cvat_runs_may_be_written_as_fractions(tmp_path: Path) -> None:
    image = cvat(tmp_path, '<mask label="car" rle="1.0, 2.0, 1.0" left="3.0" top="2" width="2" height="2"/>')
    assert areas(image) == [("car", 2, (3, 2, 2, 2))]


def test_cvat_masks_that_stick_out_are_cut(tmp_path: Path) -> None:
    image = cvat(tmp_path, '<mask label="car" rle="0, 9" left="-1" top="4" width="3" height="3"/>')
    assert areas(image) == [("car", 4, (0, 4, 2, 2))]


def test_cvat_draws_by_z_order_and_groups_are_one_object(tmp_path: Path) -> None:
    box = '<box label="{}" xtl="{}" ytl="0" xbr="{}" ybr="2" z_order="{}"{}/>'
    shapes = box.format("car", 0, 4, 2, "") + box.format("road", 0, 8, 0, "")
    shapes += box.format("car", 6, 7, 1, ' group_id="3"') + box.format("car", 7, 8, 1, ' group_id="3"')
    image = cvat(tmp_path, shapes)
    classes = Categories.from_json(
        [{"id": 1, "name": "car", "isthing": 1}, {"id": 2, "name": "road", "isthing": 0}]
    )
    panoptic = painted(image, classes).panoptic
    assert sorted((one.category, one.area) for one in panoptic.segments) == [(0, 4), (0, 8), (1, 4)]


def test_cvat_crowds_are_attributes_and_lines_are_counted(tmp_path: Path) -> None:
    mask = '<mask label="car" rle="0, 1" left="0" top="0" width="1" height="1">{}</mask>'
    text = '<attribute name="is_crowd">{}</attribute>'
    shapes = mask.format(text.format("true")) + mask.format(text.format("false"))
    image = cvat(tmp_path, shapes + '<polyline label="lane" points="0,0;3,3"/><tag label="wet"/>')
    assert [one.is_crowd for one in image.objects] == [True, False]
    assert [one.name for one in image.lost] == ["a.png, shape 2 (lane)"]


def test_cvat_boxes_turn_about_their_centre(tmp_path: Path) -> None:
    image = cvat(tmp_path, '<box label="a" xtl="1" ytl="2" xbr="5" ybr="4" rotation="90"/>')
    assert areas(image) == [("a", 8, (2, 1, 2, 4))]


def test_cvat_for_video_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text('<annotations><track id="0" label="car"/></annotations>')
    with pytest.raises(DataError, match=r"CVAT for images 1\.1"):
        FORMATS["cvat"].reader(tmp_path)


# labelme


def labelme(folder: Path, *shapes: Row, **more: Any) -> AnnotatedImage:
    content = {"imagePath": "a.png", "imageHeight": 12, "imageWidth": 14, "shapes": list(shapes), **more}
    (folder / "a.json").write_text(json.dumps(content))
    return FORMATS["labelme"].reader(folder).read(0)


def mask_shape(points: list[list[float]], rows: int, columns: int, **more: Any) -> Row:
    mask = base64.b64encode(png(np.ones((rows, columns), np.uint8))).decode()
    return {"label": "car", "shape_type": "mask", "points": points, "mask": mask, **more}


def test_labelme_outlines_belong_to_a_shape(tmp_path: Path) -> None:
    corners = [[2, 1], [5, 1], [5, 9], [2, 9]]
    image = labelme(
        tmp_path,
        {"label": "car", "points": corners},  # a polygon, where no type is said
        {"label": "car", "points": [[5, 9], [2, 1]], "shape_type": "rectangle"},
        {"label": "car", "points": corners, "shape_type": "oriented_rectangle"},
    )
    assert areas(image) == [("car", 36, (2, 1, 4, 9))] * 3


@pytest.mark.parametrize(
    ("left", "expected"), [(2.5, 2), (3.5, 4), (2.4, 2), (2.6, 3)], ids=["half down", "half up", "down", "up"]
)
def test_labelme_masks_are_laid_at_the_even_half(tmp_path: Path, left: float, expected: int) -> None:
    image = labelme(tmp_path, mask_shape([[left, 1], [left + 3, 2]], 2, 4))
    assert areas(image) == [("car", 8, (expected, 1, 4, 2))]


def test_labelme_masks_of_another_size_than_their_box_are_taken_and_named(tmp_path: Path) -> None:
    image = labelme(tmp_path, mask_shape([[1, 1], [9, 9]], 2, 3))
    assert areas(image) == [("car", 6, (1, 1, 3, 2))]
    assert [(one.name, "differ in size" in one.kind) for one in image.lost] == [
        ("a.json, shape 0 (car)", True)
    ]


def test_labelme_masks_that_stick_out_are_cut(tmp_path: Path) -> None:
    image = labelme(tmp_path, mask_shape([[-2, -1], [1, 2]], 4, 4))
    assert areas(image) == [("car", 6, (0, 0, 2, 3))]


def test_labelme_polygons_may_carry_a_mask_that_means_nothing(tmp_path: Path) -> None:
    image = labelme(tmp_path, {**mask_shape([[0, 0], [2, 0], [2, 2], [0, 2]], 9, 9), "shape_type": "polygon"})
    assert areas(image) == [("car", 9, (0, 0, 3, 3))]


def test_labelme_groups_are_of_one_label(tmp_path: Path) -> None:
    square = {"points": [[0, 0], [1, 1]], "shape_type": "rectangle", "group_id": 7}
    shapes = [{**square, "label": name} for name in ("car", "car", "dog")]
    shapes[1]["points"], shapes[2]["points"] = [[4, 4], [5, 5]], [[8, 8], [9, 9]]
    image = labelme(tmp_path, *shapes)
    classes = Categories.from_json([{"id": n, "name": x, "isthing": 1} for n, x in ((1, "car"), (2, "dog"))])
    assert [one.area for one in painted(image, classes).panoptic.segments] == [8, 4]


def test_labelme_paths_of_windows_and_ignored_regions(tmp_path: Path) -> None:
    ignored = {"label": "__ignore__", "points": [[0, 0], [5, 5]], "shape_type": "rectangle"}
    car = {"label": "car", "points": [[0, 0], [9, 9]], "shape_type": "rectangle"}
    image = labelme(tmp_path, car, ignored, imagePath="..\\photos\\b.png")
    assert image.name == "b.png"
    panoptic = painted(image, Categories.from_json([{"id": 1, "name": "car", "isthing": 1}])).panoptic
    assert [one.area for one in panoptic.segments] == [100 - 36]


def test_labelme_sizes_are_those_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (10, 4)).save(tmp_path / "a.jpg", exif=exif)
    image = labelme(tmp_path, imageHeight=None, imageWidth=None, imagePath="a.jpg")
    assert (image.height, image.width) == (10, 4)


# Label Studio


def label_studio(folder: Path, *regions: Row, **task: Any) -> AnnotatedImage:
    size = {"original_width": 20, "original_height": 10}
    results = [{"id": str(n), **size, **one} for n, one in enumerate(regions)]
    content = [{"id": 1, "data": {"image": "/data/upload/1/0123abcd-a.png"},
                "annotations": [{"result": results}], **task}]  # fmt: skip
    (folder / "tasks.json").write_text(json.dumps(content))
    return FORMATS["label-studio"].reader(folder).read(0)


def test_label_studio_rectangles_turn_about_their_own_corner_in_pixels(tmp_path: Path) -> None:
    value = {"x": 50, "y": 20, "width": 20, "height": 20, "rotation": 90, "rectanglelabels": ["car"]}
    image = label_studio(tmp_path, {"type": "rectanglelabels", "value": value})
    # 4 x 2 pixels from (10, 2), a quarter clockwise: 2 wide to the left, 4 high
    assert image.name == "a.png" and areas(image) == [("car", 8, (8, 2, 2, 4))]


def test_label_studio_names_may_stand_in_another_result(tmp_path: Path) -> None:
    mask = np.zeros((10, 20), np.bool_)
    mask[3:5, 4:9] = True
    stroke = {"id": "s", "type": "brush", "value": {"format": "rle", "rle": encode_brush(mask)}}
    name = {"id": "s", "type": "labels", "value": {"labels": ["car"]}}
    assert areas(label_studio(tmp_path, stroke, name)) == [("car", 10, (4, 3, 5, 2))]


def test_label_studio_takes_the_annotation_that_counts(tmp_path: Path) -> None:
    def annotation(x: float, **more: Any) -> Row:
        value = {"x": x, "y": 0, "width": 10, "height": 10, "rectanglelabels": ["car"]}
        region = {"id": "r", "type": "rectanglelabels", "value": value, "original_width": 20,
                  "original_height": 10}  # fmt: skip
        return {"result": [region], **more}

    skipped = annotation(0, was_cancelled=True, updated_at="2026-09-01")
    early, late = annotation(10, updated_at="2026-01-01"), annotation(20, updated_at="2026-02-01")
    assert areas(label_studio(tmp_path, annotations=[skipped, late, early]))[0][2][0] == 4
    truth = annotation(50, ground_truth=True, updated_at="2025-01-01")
    assert areas(label_studio(tmp_path, annotations=[truth, late, skipped]))[0][2][0] == 10
    guess = annotation(70)
    assert areas(label_studio(tmp_path, annotations=[skipped], predictions=[guess]))[0][2][0] == 14


def test_label_studio_strokes_have_soft_edges_literal_packets_and_a_size(tmp_path: Path) -> None:
    # 4 values in one literal packet: RGBA 9 9 9 60
    head = f"{4:032b}{7:05b}" + "".join(f"{bits - 1:04b}" for bits in (3, 4, 8, 16))
    bits = head + "0" + "00" + f"{3:03b}" + "".join(f"{value:08b}" for value in (9, 9, 9, 60))
    bits += "0" * (-len(bits) % 8)
    rle = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    assert decode_brush(rle, 1, 1).tolist() == [[True]]
    assert decode_brush(rle, 1, 1, threshold=127).tolist() == [[False]]
    assert decode_brush([*rle, 0], 1, 1).tolist() == [[True]]  # the SDK appends a zero byte
    value = {"format": "rle", "rle": encode_brush(np.ones((9, 20), np.bool_)), "brushlabels": ["car"]}
    with pytest.raises(DataError, match=r"a\.png, region 0 \(car\)"):
        label_studio(tmp_path, {"type": "brushlabels", "value": value})


# Supervisely


def supervisely(folder: Path, *objects: Row) -> AnnotatedImage:
    (folder / "meta.json").write_text(json.dumps({"classes": [{"title": "car", "color": "#FF0000"}]}))
    (folder / "ds0" / "ann").mkdir(parents=True)
    rows = [{"classTitle": "car", **one} for one in objects]
    content = {"size": {"height": 9, "width": 11}, "objects": rows}
    (folder / "ds0" / "ann" / "a.jpg.json").write_text(json.dumps(content))
    return FORMATS["supervisely"].reader(folder).read(0)


def test_supervisely_bitmaps_are_alpha_or_gray_zipped_or_not(tmp_path: Path) -> None:
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[..., 0] = 255
    rgba[0, 1, 3] = 1  # red everywhere, there in one pixel
    gray = np.array([[0, 7]], np.uint8)
    packed = [base64.b64encode(zlib.compress(png(rgba))), base64.b64encode(png(gray))]
    image = supervisely(
        tmp_path,
        *({"geometryType": "bitmap", "bitmap": {"data": one.decode(), "origin": [4, 5]}} for one in packed),
    )
    assert areas(image) == [("car", 1, (5, 5, 1, 1)), ("car", 1, (5, 5, 1, 1))]


def test_supervisely_polygons_have_holes_and_rectangles_both_corners(tmp_path: Path) -> None:
    outer, inner = [[1, 1], [7, 1], [7, 7], [1, 7]], [[3, 3], [5, 3], [5, 5], [3, 5]]
    image = supervisely(
        tmp_path,
        {"geometryType": "polygon", "points": {"exterior": outer, "interior": [inner]}},
        {"geometryType": "rectangle", "points": {"exterior": [[2, 3], [4, 4]], "interior": []}},
        {"geometryType": "line", "points": {"exterior": [[0, 0], [4, 4]], "interior": []}},
    )
    # the outline of a hole belongs to the object, so its one inner pixel is missing
    assert areas(image) == [("car", 48, (1, 1, 7, 7)), ("car", 6, (2, 3, 3, 2))]
    assert len(image.lost) == 1


# FiftyOne


@pytest.mark.parametrize(("width", "x"), [(97, 60), (97, 91), (64, 39), (333, 7)])
def test_fiftyone_boxes_are_rounded_not_cut(tmp_path: Path, width: int, x: int) -> None:
    stream = io.BytesIO()
    np.save(stream, np.ones((2, 3), np.bool_))
    mask = {"$binary": {"base64": base64.b64encode(zlib.compress(stream.getvalue())).decode()}}
    box = [x / width, 4 / 9, 3 / width, 2 / 9]
    detection = {"_cls": "Detection", "label": "car", "bounding_box": box, "mask": mask}
    sample = {"filepath": "data/a.png", "metadata": {"width": width, "height": 9},
              "gt": {"_cls": "Detections", "detections": [detection]}}  # fmt: skip
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [sample]}))
    assert areas(FiftyOneReader(tmp_path).read(0)) == [("car", 6, (x, 4, 3, 2))]


# YOLO


def yolo(folder: Path, text: str) -> AnnotatedImage:
    (folder / "data.yaml").write_text("names: {0: car, 1: dog}")
    for name in ("labels", "images"):
        (folder / name).mkdir()
    Image.new("RGB", (97, 61)).save(folder / "images" / "a.png")
    (folder / "labels" / "a.txt").write_bytes(text.encode("utf-8-sig"))
    return FORMATS["yolo"].reader(folder).read(0)


def test_yolo_corners_are_rounded_marks_of_order_and_equal_lines_are_dropped(tmp_path: Path) -> None:
    ring = [(60, 34), (63, 34), (63, 50), (60, 50)]
    line = "0 " + " ".join(f"{x / 97:.6f} {y / 61:.6f}" for x, y in ring)
    image = yolo(tmp_path, f"{line}\n{line}\n")
    assert areas(image) == [("car", 68, (60, 34, 4, 17))]


def test_yolo_draws_smaller_objects_over_larger(tmp_path: Path) -> None:
    image = yolo(tmp_path, "1 0.2 0.2 0.3 0.2 0.3 0.3 0.2 0.3\n0 0 0 0.9 0 0.9 0.9 0 0.9\n")
    order = sorted(image.objects, key=lambda one: one.order)
    assert [one.label for one in order] == ["car", "dog"]


# Maps of numbers


def test_segments_ai_alpha_is_no_part_of_an_id(tmp_path: Path) -> None:
    categories = [{"name": "car", "id": 5, "has_instances": True}]
    attributes = {"annotations": [{"id": 70_000, "category_id": 5}], "segmentation_bitmap": {"url": "a.png"}}
    samples = [{"name": "x.jpg", "labels": {"ground-truth": {"attributes": attributes}}}]
    content = {"dataset": {"task_attributes": {"categories": categories}, "samples": samples}}
    (tmp_path / "release.json").write_text(json.dumps(content))
    id = 70_000
    for alpha in (0, 128, 255):
        pixel = [id & 255, id >> 8 & 255, id >> 16, alpha]
        (tmp_path / "a.png").write_bytes(png(np.array([[pixel, [0, 0, 0, 255]]], np.uint8)))
        image = FORMATS["segments-ai"].reader(tmp_path).read(0)
        assert areas(image) == [("car", 1, (0, 0, 1, 1))] and image.objects[0].id == id


def test_bdd100k_alpha_is_data_and_ignored_pixels_are_void(tmp_path: Path) -> None:
    (tmp_path / "bitmasks").mkdir()
    car, crowd, ignored = (35, 0, 1, 44), (35, 2, 0, 45), (35, 1, 0, 46)
    pixels = np.array([[car, car, crowd, ignored, (0, 3, 0, 1)]], np.uint8)
    (tmp_path / "bitmasks" / "a.png").write_bytes(png(pixels))
    image = FORMATS["bdd100k"].reader(tmp_path).read(0)
    assert [(one.label, one.area, one.is_crowd) for one in image.objects] == [
        ("car", 2, False), ("car", 1, True),
    ]  # fmt: skip
    (tmp_path / "bitmasks" / "a.png").write_bytes(png(pixels[..., :3]))
    with pytest.raises(DataError, match="bit masks are RGBA"):
        FORMATS["bdd100k"].reader(tmp_path).read(0)


def test_kitti_step_persons_without_a_track_are_a_crowd(tmp_path: Path) -> None:
    folder = tmp_path / "panoptic_maps" / "val" / "0002"
    folder.mkdir(parents=True)
    pixels = np.array([[(11, 0, 0), (11, 1, 2), (13, 1, 2), (0, 0, 0), (255, 0, 0)]], np.uint8)
    (folder / "000000.png").write_bytes(png(pixels))
    truth = open_dataset(tmp_path).truth(0)
    found = [(truth.categories[one.category].name, one.is_crowd, one.area) for one in truth.segments]
    assert sorted(found) == [("car", False, 1), ("person", False, 1), ("person", True, 1), ("road", False, 1)]
    assert truth.ids[0, 4] == 0


def test_vipseg_classes_count_from_one_and_stuff_is_below_125(tmp_path: Path) -> None:
    (tmp_path / "panomasks" / "clip").mkdir(parents=True)
    categories = [{"id": id, "name": f"c{id}", "isthing": int(id == 59)} for id in range(124)]
    (tmp_path / "panoVIPSeg_categories.json").write_text(json.dumps(categories))
    values = np.array([[124, 1, 6001, 6002, 0]], np.uint16)
    (tmp_path / "panomasks" / "clip" / "0.png").write_bytes(png(values))
    truth = open_dataset(tmp_path, kind="vipseg").truth(0)
    names = [truth.categories[one.category].name for one in truth.segments]
    assert sorted(names) == ["c0", "c123", "c59", "c59"] and truth.ids[0, 4] == 0


# Hugging Face transformers

CLASSES = Categories.from_json(
    [{"id": 10, "name": "sky", "isthing": 0}, {"id": 20, "name": "car", "isthing": 1}], name="mine"
)


def test_transformers_lists_a_fused_class_once_per_query() -> None:
    segmentation = np.array([[1, 1, 2, 0]], np.int32)
    info = [{"id": 1, "label_id": 0, "was_fused": True, "score": 0.9}] * 2
    info += [{"id": 2, "label_id": 1, "was_fused": False, "score": 0.5}]
    found = PanopticMap.from_huggingface({"segmentation": segmentation, "segments_info": info}, CLASSES)
    assert [(one.category, one.area) for one in found.segments] == [(0, 2), (1, 1)]


def test_transformers_void_is_minus_one_where_ids_begin_at_zero() -> None:
    segmentation = np.array([[0, 0, 1, -1]], np.int64)
    info = [{"id": 0, "label_id": 1, "score": 0.9}, {"id": 1, "label_id": 0, "score": 0.8}]
    found = PanopticMap.from_huggingface({"segmentation": segmentation, "segments_info": info}, CLASSES)
    assert sorted((one.category, one.area) for one in found.segments) == [(0, 1), (1, 2)]
    assert found.ids[0, 3] == 0
    nothing = {"segmentation": np.full((2, 2), -1.0), "segments_info": []}
    assert not PanopticMap.from_huggingface(nothing, CLASSES).segments
