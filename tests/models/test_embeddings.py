"""From a segment back to the vector that made it."""

import torch

from pansight.categories import Categories
from pansight.merging.sizes import Sizes
from pansight.models.base import HasEmbeddings, HasStages
from pansight.models.embeddings import by_score, by_strength, segment_means
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.panoptic import PanopticBatch

SIZES = Sizes((16, 16), [(16, 16)], [(16, 16)])


def halves() -> PanopticBatch:
    """Segment 1 on the left, 2 on the right; a third row is empty."""
    ids = torch.ones(1, 16, 16, dtype=torch.int32)
    ids[..., 8:] = 2
    return PanopticBatch(
        ids, torch.tensor([[3, 3, -1]]), torch.tensor([[0.5, 0.25, 0.0]]), torch.tensor([[128, 128, 0]])
    )


def test_by_score() -> None:
    vectors = torch.arange(8.0).view(1, 4, 2)
    scores, kinds = torch.tensor([[0.25, 0.25, 0.5, 0.0]]), torch.tensor([[1, 3, 3, 3]])
    found = by_score(halves(), vectors, scores, kinds)
    assert found.tolist() == [[[4.0, 5.0], [2.0, 3.0], [0.0, 0.0]]]


def test_segment_means_and_by_strength() -> None:
    features = torch.zeros(1, 2, 8, 8)
    features[:, 0, :, :4] = 1.0
    features[:, 1, :, 4:] = 2.0
    means = segment_means(halves(), features, SIZES)
    assert means.tolist() == [[[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]]
    vectors = torch.tensor([[[5.0, -5.0], [-5.0, 5.0], [9.0, 9.0]]])
    found = by_strength(halves(), vectors, torch.tensor([[3, 3, -2]]), features, SIZES)
    assert found.tolist() == [[[5.0, -5.0], [-5.0, 5.0], [0.0, 0.0]]]


def test_of_a_padded_image_the_padding_counts_nothing() -> None:
    features = torch.full((1, 1, 8, 8), 100.0)
    features[..., :4, :] = 1.0
    batch = halves()._replace(ids=halves().ids[:, :8])
    means = segment_means(batch, features, Sizes((16, 16), [(8, 16)], [(8, 16)]))
    assert means[0, :2].tolist() == [[1.0], [1.0]]


def test_yoso_knows_its_kernels_and_can_do_with_fewer_stages(small_config: YOSOConfig) -> None:
    torch.manual_seed(16)
    model = YOSO(small_config, Categories.builtin("scenes"), Preprocess(short=64, longest=107)).eval()
    assert isinstance(model, HasEmbeddings) and isinstance(model, HasStages)
    with torch.inference_mode():
        outputs = model(torch.randn(1, 3, 64, 64))
        sizes = Sizes((64, 64), [(64, 64)], [(64, 64)])
        batch = model.merge(outputs, sizes)
        vectors = model.embeddings(outputs, sizes, batch)
        there = batch.categories[0] >= 0
        assert there.any()
        rows = (vectors[0, :, None] == outputs.kernels[0]).all(2).any(1)
        assert rows[there].all() and (vectors[0, ~there] == 0).all()
        fewer = model.with_stages(1)
        assert (fewer.stages, model.stages) == (1, small_config.stages)
        assert len(fewer(torch.randn(1, 3, 64, 64)).earlier) == 1
        assert fewer.backbone is model.backbone
