import pytest

from pansight.lazy import lazy_names


def test_names_are_imported_when_asked_for() -> None:
    find = lazy_names("somewhere", {"PansightError": "pansight.errors"})
    from pansight.errors import PansightError

    assert find("PansightError") is PansightError
    with pytest.raises(AttributeError, match="module 'somewhere' has no attribute 'Other'"):
        find("Other")
