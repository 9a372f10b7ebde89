"""Rows are chosen and put in order as a stable sort of all of them would, ties and all."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pansight.merging import top_k_in_place, top_k_kept, top_k_sorted

Rows = list[tuple[int, bool]]
ROWS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30)


@settings(deadline=None)
@given(rows=ROWS, count=st.integers(1, 35))
def test_best_rows_of_a_stable_sort(rows: Rows, count: int) -> None:
    """Scores of five values tie everywhere."""
    scores = torch.tensor([[score / 4 for score, _ in rows]])
    kept = torch.tensor([[keep for _, keep in rows]])
    ranked = sorted(range(len(rows)), key=lambda row: (-rows[row][0] if rows[row][1] else 1, row))
    found = top_k_sorted(scores, kept, count)[0].tolist()
    assert found == ranked[:count]
    worth = torch.where(kept, scores, -1.0)
    assert top_k_in_place(worth, count)[0].tolist() == sorted(ranked[:count])


@settings(deadline=None)
@given(rows=ROWS, budget=st.integers(1, 35))
def test_kept_rows_come_first(rows: Rows, budget: int) -> None:
    kept = torch.tensor([[keep for _, keep in rows]])
    order = sorted(range(len(rows)), key=lambda row: not rows[row][1])
    assert top_k_kept(kept, "fixed", budget)[0].tolist() == order[:budget]
    assert top_k_kept(kept, "pruned")[0].tolist() == order[: max(1, int(kept.sum()))]
