"""A ceiling on memory changes how long a merge takes, and no pixel of its answer."""

import pytest
import torch

from pansight.errors import InputError
from pansight.merging import (
    Candidates,
    MergeSettings,
    PriorityRule,
    SoftMasks,
    merge_by_argmax,
    merge_by_priority,
)
from pansight.merging.room import counted, renumber, room_for
from pansight.merging.semantics import semantic_argmax
from pansight.merging.settings import as_bytes
from pansight.merging.sizes import Sizes
from pansight.models.epsnet.stuff import label
from pansight.panoptic import PanopticBatch

SIZES = Sizes((96, 128), [(96, 128), (90, 100)], [(203, 301), (170, 220)])
THINGS = torch.tensor([True, False, True, False])


def same(one: PanopticBatch, other: PanopticBatch) -> bool:
    return all(torch.equal(left, right) for left, right in zip(one[:4], other[:4], strict=True))


def blobs(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    small = torch.randn(2, count, 6, 8, generator=generator)
    return torch.nn.functional.interpolate(small, size=(24, 32), mode="bicubic")


def ceilings() -> list[int | None]:
    """None, the least that is taken, and some in between."""
    with pytest.raises(InputError, match=r"give at least (\d+)MB") as caught:
        room_for(1000, SIZES.pixels(), 4 * 2 * 20 * 24 * 32)
    least = int(str(caught.value).rpartition("at least ")[2].partition("MB")[0]) * 10**6
    return [None, least, least + 100_000, 2 * least, 512_000_000]


def test_argmax_merge() -> None:
    generator = torch.Generator().manual_seed(1)
    masks = Candidates(
        4 * blobs(20, 1),
        torch.rand(2, 20, generator=generator),
        torch.randint(0, 4, (2, 20), generator=generator),
        torch.rand(2, 20, generator=generator) > 0.2,
    )
    found = [
        merge_by_argmax(masks, SIZES, THINGS, 0.3, 20, "pruned", max_memory=ceiling) for ceiling in ceilings()
    ]
    assert int((found[0].categories >= 0).sum()) >= 3
    assert all(same(one, found[0]) for one in found)


def test_priority_merge() -> None:
    generator = torch.Generator().manual_seed(2)
    masks = SoftMasks(
        blobs(20, 2).sigmoid(),
        torch.rand(2, 20, generator=generator),
        torch.randint(0, 4, (2, 20), generator=generator),
        torch.rand(2, 20, generator=generator) > 0.2,
    )
    semantics, beneath = (torch.randint(-1, 4, (2, 203, 301), generator=generator).int() for _ in range(2))
    for part in (semantics, beneath):
        part[1, 170:], part[1, :, 220:] = -1, -1
    rule = PriorityRule(0.6, True, 0.5, 20)
    found = [
        merge_by_priority(
            masks, semantics, SIZES, THINGS, rule, "pruned", beneath=beneath, max_memory=ceiling
        )
        for ceiling in ceilings()
    ]
    assert int((found[0].categories >= 0).sum()) > 8
    assert all(same(one, found[0]) for one in found)


def test_semantic_maps() -> None:
    logits = blobs(7, 3)
    logits[:, 3] = logits[:, 5]  # ties, of which the first has it
    for ceiling in ceilings():
        assert torch.equal(
            semantic_argmax(logits, SIZES, "pruned", ceiling), semantic_argmax(logits, SIZES, "pruned")
        )
        for one, other in zip(
            label(logits, SIZES, 1.0, "pruned", ceiling), label(logits, SIZES, 1.0, "pruned"), strict=True
        ):
            assert torch.equal(one, other)
    # one channel at a time, in place, gives what many at a time give
    large = Sizes((96, 128), [(96, 128)] * 2, [(2900, 2900)] * 2)
    one = semantic_argmax(
        logits[:1, :4], large._replace(valid=large.valid[:1], output=large.output[:1]), "pruned"
    )
    some = semantic_argmax(
        logits[:1, :4], large._replace(valid=large.valid[:1], output=large.output[:1]), "fixed"
    )
    assert torch.equal(one, some)


def test_numbers_are_replaced_and_counted_band_by_band(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pansight.merging.room.BAND", 50)
    codes = torch.randint(0, 9, (2, 33, 17), generator=torch.Generator().manual_seed(4)).int()
    table = torch.arange(18).view(2, 9).int() * 3
    wanted = torch.stack([table[image][codes[image].long()] for image in range(2)])
    assert torch.equal(
        counted(codes, 9), torch.stack([torch.bincount(one.flatten(), minlength=9) for one in codes]).int()
    )
    assert torch.equal(renumber(table, codes.clone()), wanted)


@pytest.mark.parametrize(
    ("text", "wanted"), [("512MB", 512_000_000), ("2 GiB", 2 << 30), ("1.5kb", 1500), (7, 7), ("300", 300)]
)
def test_bytes_are_numbers_or_text(text: object, wanted: int) -> None:
    assert as_bytes(text) == wanted
    assert MergeSettings().replaced({"max_memory": text}).max_memory == wanted


@pytest.mark.parametrize("text", ["much", "5 apples", "", "-3MB", 0])
def test_other_words_are_refused(text: object) -> None:
    with pytest.raises(InputError, match=r"merge\.max_memory"):
        MergeSettings().replaced({"max_memory": text})
