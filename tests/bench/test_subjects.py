"""What is benchmarked, and at which size."""

from pathlib import Path

import pytest

from pansight.bench.subjects import Subject
from pansight.export.conversion import describe, write_artefact
from pansight.zoo import load_model


@pytest.mark.parametrize(
    ("name", "size"),
    [("yoso-tiny", (192, 256)), ("panoptic-fcn-photo", (224, 299)), ("epsnet-tiny", (192, 256))],
)
@pytest.mark.parametrize("resize", [None, "none", "paper", "128"])
def test_the_size_of_an_image_is_the_models_own_whatever_the_network_is_given(
    name: str, size: tuple[int, int], resize: str | None
) -> None:
    subject = Subject(name, "eager", resize=resize)
    model = subject.load()
    assert subject.own_size(subject.open(model), model) == size


@pytest.mark.parametrize("fixed", [None, (64, 96)])
def test_an_exported_file_says_its_own(
    tmp_path: Path, fixed: tuple[int, int] | None, unchecked_shapes: None
) -> None:
    path = tmp_path / "tiny.onnx"
    model = load_model("yoso-tiny")
    write_artefact(model, "onnx", describe(model, "onnx", size=fixed), path)
    subject = Subject(str(path), "auto")
    engine = subject.open()
    assert subject.own_size(engine, None) == (fixed or (192, 256))
    # as it is, or what fits into the one size
    assert engine.spec.preprocess.target_size(48, 80) == ((48, 80) if fixed is None else (58, 96))
