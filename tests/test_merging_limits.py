"""What the merge must bear: export with fixed shapes, and very large maps in little memory."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from pansight.merging import Candidates, merge_by_argmax
from pansight.models.preprocess import Sizes

THINGS = torch.tensor([True, True, False, False, False])


class FixedMerge(torch.nn.Module):
    """The merge of one pair of sizes as a network has it in an exported graph."""

    sizes = Sizes((64, 96), [(61, 90)], [(40, 70)])

    def forward(self, logits: Tensor, scores: Tensor, categories: Tensor, kept: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            merge_by_argmax(Candidates(logits, scores, categories, kept), self.sizes, THINGS, 0.3, 9)
        )


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


MEMORY = """
import resource, torch
from pansight.merging import Candidates, merge_by_argmax
from pansight.models.preprocess import Sizes
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
merge_by_argmax(small, Sizes((32, 32), [(32, 32)], [(32, 32)]), is_thing, 0.5, k)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
batch = merge_by_argmax(candidates, Sizes((1024, 1280), [(1024, 1280)], [(4000, 5000)]), is_thing, 0.1, k)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert batch.ids.shape == (1, 4000, 5000) and int(batch.ids.max()) > 20
print((after - before) * 1024)
"""


@pytest.mark.slow
def test_150_masks_to_20_megapixels_within_a_gibibyte() -> None:
    """All 150 enlarged masks would take 12 GB."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1 << 30
