from pansight.metrics.remarks import EXAMPLES, Remarks


def test_remarks_are_kept_in_bounded_memory_and_counted() -> None:
    remarks, others = Remarks(), Remarks()
    for number in range(EXAMPLES - 1):
        remarks.add("odd", f"one {number}")
    for number in range(5):
        others.add("odd", f"two {number}")
    others.add("strange", "three")
    remarks.merge(others)
    lines = remarks.lines()
    assert remarks.counts == {"odd": EXAMPLES + 4, "strange": 1}
    assert lines[0] == "odd: one 0" and lines[EXAMPLES - 1] == "odd: two 0"
    assert lines[EXAMPLES:] == ("odd: 4 more", "strange: three")
    # Merging copies: the other collection stays as it was.
    assert others.counts == {"odd": 5, "strange": 1}
