"""What the merge must bear: export with fixed shapes, and very large maps in little memory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pansight.merging import Candidates, PriorityRule, SoftMasks, merge_by_argmax, merge_by_priority
from pansight.models.preprocess import Sizes
from pansight.panoptic import PanopticBatch

THINGS = torch.tensor([True, True, False, False, False])


def told(batch: PanopticBatch) -> tuple[Tensor, ...]:
    """The batch as a graph gives it: all its tensors."""
    assert batch.overflow is not None
    return (*batch[:4], batch.overflow)


class FixedMerge(torch.nn.Module):
    """The merge of one pair of sizes as a network has it in an exported graph."""

    sizes = Sizes((64, 96), [(61, 90)], [(40, 70)])

    def forward(self, logits: Tensor, scores: Tensor, categories: Tensor, kept: Tensor) -> tuple[Tensor, ...]:
        candidates = Candidates(logits, scores, categories, kept)
        return told(merge_by_argmax(candidates, self.sizes, THINGS, 0.3, 9, "fixed"))


def test_exports_with_fixed_sizes() -> None:
    torch.manual_seed(0)
    first, second = (
        (
            4 * torch.randn(1, 9, 16, 24),
            torch.rand(1, 9),
            torch.randint(0, 5, (1, 9)),
            torch.rand(1, 9) > rare,
        )
        for rare in (0.2, 0.6)
    )
    exported = torch.export.export(FixedMerge(), first).module()
    # the same graph serves any number of kept masks
    for example in (first, second):
        expected = FixedMerge()(*example)
        assert expected[0].max() >= 2
        for got, wanted in zip(exported(*example), expected, strict=True):
            assert torch.equal(got, wanted)


class FixedPriority(torch.nn.Module):
    """The same for the merge by priority."""

    sizes = Sizes((64, 96), [(61, 90)], [(40, 70)])

    def forward(self, values: Tensor, scores: Tensor, kept: Tensor, semantics: Tensor) -> tuple[Tensor, ...]:
        masks = SoftMasks(values, scores, torch.zeros_like(kept, dtype=torch.int64), kept)
        rule = PriorityRule(0.6, True, 0.4, 1)
        return told(merge_by_priority(masks, semantics, self.sizes, THINGS, rule, "fixed"))


def priority_example(seed: int, kept: float) -> tuple[Tensor, ...]:
    """Nine masks of patches, and labels."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(1, 9, 4, 6, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    semantics = torch.randint(-1, 5, (1, 40, 70), generator=generator, dtype=torch.int32)
    scores = torch.rand(1, 9, generator=generator)
    return values, scores, torch.rand(1, 9, generator=generator) < kept, semantics


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_shapes")
def test_painting_exports_with_fixed_sizes() -> None:
    exported = torch.export.export(FixedPriority(), priority_example(0, 1.0)).module()
    # the same graph serves any number of kept masks
    for example in (priority_example(0, 1.0), priority_example(1, 0.5)):
        expected = FixedPriority()(*example)
        assert (expected[1] == 0).sum() >= 2
        for got, wanted in zip(exported(*example), expected, strict=True):
            assert torch.equal(got, wanted)


COMPILE = """
import sys
import torch
sys.path.insert(0, sys.argv[1])
from test_merging_limits import FixedPriority, priority_example
compiled = torch.compile(FixedPriority(), fullgraph=True, backend="eager")
for example in (priority_example(0, 1.0), priority_example(1, 0.5)):
    expected = FixedPriority()(*example)
    assert (expected[1] == 0).sum() >= 2
    assert all(torch.equal(got, wanted) for got, wanted in zip(compiled(*example), expected, strict=True))
"""


@pytest.mark.slow
def test_painting_compiles_whole() -> None:
    """In a process without checks of annotations, which compilers do not follow."""
    command = [sys.executable, "-c", COMPILE, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr


MEMORY = """
import resource, torch
from pansight.merging import Candidates, merge_by_argmax
from pansight.models.preprocess import Sizes
from pansight.panoptic import PanopticBatch
torch.set_num_threads(1)
g = torch.Generator().manual_seed(0)
k, height, width = 150, 256, 320
y, x = torch.arange(height)[:, None], torch.arange(width)
centres = (torch.rand(k, 2, generator=g) * 300).tolist()
near = torch.stack([((y - a) ** 2 + (x - b) ** 2).sqrt() for a, b in centres])
logits = (24 - near).clamp(-9, 9)
logits += 0.1 * torch.randn(k, height, width, generator=g)
# a strip in which all masks are needed everywhere
logits[:, 100:116] = 5 * torch.randn(k, 16, width, generator=g)
scores = 0.7 + 0.3 * torch.rand(1, k, generator=g)
categories = torch.zeros(1, k, dtype=torch.int64)
candidates = Candidates(logits[None], scores, categories, torch.ones(1, k, dtype=torch.bool))
is_thing = torch.ones(1, dtype=torch.bool)
small = Candidates(logits[None, :2, :8, :8], scores[:, :2], categories[:, :2], candidates.kept[:, :2])
merge_by_argmax(small, Sizes((32, 32), [(32, 32)], [(32, 32)]), is_thing, 0.5, k, "pruned")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sizes = Sizes((1024, 1280), [(1024, 1280)], [(4000, 5000)])
capped = merge_by_argmax(candidates, sizes, is_thing, 0.1, k, "pruned", max_memory=512_000_000)
within = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
batch = merge_by_argmax(candidates, sizes, is_thing, 0.1, k, "pruned")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert all(torch.equal(one, other) for one, other in zip(capped[:4], batch[:4]))
assert batch.ids.shape == (1, 4000, 5000) and int(batch.ids.max()) > 20
print((within - before) * 1024, (after - before) * 1024)
"""


@pytest.mark.slow
def test_150_masks_to_20_megapixels_stay_below_their_ceiling() -> None:
    """All 150 enlarged masks would take 12 GB; 512 MB do, and without a ceiling a gibibyte."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    within, after = map(int, done.stdout.split())
    # the second merge has the first one's answer beside it
    assert within < 512_000_000 and after < (1 << 30) + 80_000_000, (within, after)


PAINTING_MEMORY = """
import resource, torch
from pansight.merging import PriorityRule, SoftMasks, merge_by_priority
from pansight.merging.sizes import Sizes
torch.set_num_threads(1)
g = torch.Generator().manual_seed(0)
k, height, width = 150, 256, 320
y, x = torch.arange(height)[:, None], torch.arange(width)
centres = (torch.rand(k, 2, generator=g) * 300).tolist()
values = torch.stack([0.5 + (24 - ((y - a) ** 2 + (x - b) ** 2).sqrt()) / 50 for a, b in centres])
values += 0.01 * torch.randn(k, height, width, generator=g)
# a patch of noise, in which hardly two pixels lie under the same masks
values[:, 100:108, 100:160] = torch.rand(k, 8, 60, generator=g)
scores = torch.rand(1, k, generator=g)
masks = SoftMasks(values[None], scores, torch.zeros(1, k, dtype=torch.int64), torch.ones(1, k) > 0)
is_thing = torch.ones(1, dtype=torch.bool)
rule = PriorityRule(0.5, True, 0.8, 1)
small = SoftMasks(values[None, :2, :8, :8], *(part[:, :2] for part in masks[1:]))
semantics = torch.zeros(1, 4000, 5000, dtype=torch.int32)
tiny = Sizes((32, 32), [(32, 32)], [(32, 32)])
merge_by_priority(small, semantics[:, :32, :32], tiny, is_thing, rule, "pruned")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sizes = Sizes((1024, 1280), [(1024, 1280)], [(4000, 5000)])
capped = merge_by_priority(masks, semantics, sizes, is_thing, rule, "pruned", max_memory=512_000_000)
within = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
batch = merge_by_priority(masks, semantics, sizes, is_thing, rule, "pruned")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert all(torch.equal(one, other) for one, other in zip(capped[:4], batch[:4]))
assert batch.ids.shape == (1, 4000, 5000) and int(batch.ids.max()) > 20
print((within - before) * 1024, (after - before) * 1024)
"""


@pytest.mark.slow
def test_150_masks_are_painted_on_20_megapixels_below_their_ceiling() -> None:
    """All 150 enlarged masks would take 12 GB; 512 MB do, and without a ceiling a gibibyte."""
    command = [sys.executable, "-c", PAINTING_MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    within, after = map(int, done.stdout.split())
    # the second merge has the first one's answer beside it
    assert within < 512_000_000 and after < (1 << 30) + 80_000_000, (within, after)
