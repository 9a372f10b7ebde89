"""semantic_argmax against the enlarged logits themselves."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pansight.merging import Form, semantics
from pansight.merging.room import Room
from pansight.merging.semantics import chunk_size, semantic_argmax
from pansight.merging.sizes import Sizes
from pansight.merging.upsampling import interpolated


@settings(max_examples=80)
@given(
    channels=st.integers(1, 23),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    ratio=st.sampled_from([1, 2, 3, 8]),
    data=st.data(),
    coarse=st.booleans(),
    most=st.integers(1, 30),
)
def test_is_the_argmax_of_the_whole(
    channels: int, size: tuple[int, int], ratio: int, data: st.DataObject, coarse: bool, most: int
) -> None:
    """To the bit at once; in chunks as close as torch, which rounds small maps by the number of channels.

    Whole numbers make ties everywhere, of which the first wins.
    """
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    logits = 3 * torch.randn(2, channels, *size, generator=generator)
    logits = logits.round() if coarse else logits
    padded = (size[0] * ratio, size[1] * ratio)
    valid = data.draw(st.tuples(st.integers(1, padded[0]), st.integers(1, padded[1])))
    output = (
        valid if data.draw(st.booleans()) else data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    )
    whole = logits
    if padded != size:
        whole = F.interpolate(whole, size=padded, mode="bilinear", align_corners=False)
    whole = whole[:, :, : valid[0], : valid[1]]
    if output != valid:
        whole = F.interpolate(whole, size=output, mode="bilinear", align_corners=False)
    pixels = 2 * max(padded[0] * padded[1], output[0] * output[1])
    with mock.patch.object(semantics, "room_for", return_value=Room(semantics=most * pixels)):
        best = semantic_argmax(logits, Sizes(padded, [valid] * 2, [output] * 2), "pruned")
    fixed = semantic_argmax(logits, Sizes(padded, [valid] * 2, [output] * 2), "fixed")
    assert best.dtype == fixed.dtype == torch.int32
    value = whole.gather(1, fixed[:, None].long())
    assert torch.allclose(value, whole.amax(1, keepdim=True), rtol=0, atol=1e-5)
    if most >= channels:
        assert torch.equal(best, whole.argmax(1).int())
    else:
        value = whole.gather(1, best[:, None].long())
        assert torch.allclose(value, whole.amax(1, keepdim=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("output", [(77, 113), (100, 150), (160, 300)])
@pytest.mark.parametrize("most", [1, 2, 5, 7, 16])
def test_chunks_of_real_maps_change_no_bit(output: tuple[int, int], most: int) -> None:
    """From 128 rows and columns together on, as are all that need chunks, torch rounds all channels alike."""
    logits = (3 * torch.randn(2, 19, 20, 30, generator=torch.Generator().manual_seed(most))).round()
    sizes = Sizes((80, 120), [(77, 113)] * 2, [output] * 2)
    with mock.patch.object(
        semantics, "room_for", return_value=Room(semantics=most * 2 * max(80 * 120, output[0] * output[1]))
    ):
        best = semantic_argmax(logits, sizes, "pruned")
    assert torch.equal(best, interpolated(logits, (80, 120), (77, 113), output).argmax(1).int())


@pytest.mark.parametrize("form", ["pruned", "fixed"])
def test_images_of_different_sizes_are_what_they_are_alone(form: Form) -> None:
    logits = torch.randn(3, 5, 6, 9, generator=torch.Generator().manual_seed(0))
    sizes = Sizes((48, 72), [(48, 72), (40, 61), (48, 72)], [(48, 72), (30, 90), (48, 72)])
    best = semantic_argmax(logits, sizes, form)
    assert best.shape == (3, 48, 90)
    for i, (height, width) in enumerate(sizes.output):
        alone = semantic_argmax(logits[i, None], Sizes((48, 72), [sizes.valid[i]], [sizes.output[i]]), form)
        assert torch.equal(best[i, :height, :width], alone[0])
        assert (best[i, height:] == -1).all()
        assert (best[i, :, width:] == -1).all()


@given(channels=st.integers(1, 600), most=st.integers(1, 300))
def test_no_chunk_has_three_channels(channels: int, most: int) -> None:
    size = chunk_size(channels, most)
    assert 1 <= size <= min(most, 255, channels)
    if channels > size:
        assert size != 3
        assert channels % size != 3


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_layout_does_not_matter(memory: torch.memory_format) -> None:
    logits = torch.randn(1, 19, 16, 32, generator=torch.Generator().manual_seed(1))
    size = (128, 256)
    expected = interpolated(logits, size, size, size).argmax(1).int()
    assert torch.equal(
        semantic_argmax(logits.to(memory_format=memory), Sizes(size, [size], [size]), "pruned"), expected
    )
