"""The page of curves: from the CSV files, whole, with every series."""

import re
from pathlib import Path

from pansight.training.curves import write_curves

TRAINING = """step,seconds,learning_rate,gradient_norm,loss,s1_<b>
10,1,0.001,5,20,3
20,2,0.0005,nan,10,2
30,3,0.0001,2,5,1
"""


def test_curves_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "training.csv").write_text(TRAINING)
    (tmp_path / "validation.csv").write_text(
        "step,seconds,pq,sq,rq,pq_things\n20,2,30,70,40,nan\n30,3,35,71,45,nan\n"
    )
    path = write_curves(tmp_path, "yoso: run")
    assert path == tmp_path / "curves.html"
    page = path.read_text()
    assert page.count("<svg") == 4
    # loss, its term, rate, norm, pq, sq, rq; not a number is left out
    lines = re.findall(r'points="([^"]+)"', page)
    assert [len(line.split()) for line in lines] == [2, 2, 2, 3, 3, 3, 2]
    assert "s1_&lt;b&gt;" in page and "s1_<b>" not in page
    assert "http" not in page
    falling = [float(point.split(",")[1]) for point in lines[3].split()]
    assert falling == sorted(falling), "a loss that falls goes down the page"


def test_without_rows_there_is_no_page(tmp_path: Path) -> None:
    assert write_curves(tmp_path, "empty") is None
    (tmp_path / "training.csv").write_text("step,seconds,loss\n")
    assert write_curves(tmp_path, "empty") is None
    assert not (tmp_path / "curves.html").exists()


def test_values_that_are_all_alike_are_a_line(tmp_path: Path) -> None:
    for rate in ("1e+30", "0", "1e-12"):
        (tmp_path / "training.csv").write_text(
            f"step,seconds,learning_rate,gradient_norm,loss\n1,1,{rate},1,5\n2,2,{rate},1,5\n"
        )
        path = write_curves(tmp_path, "flat")
        assert path is not None and path.read_text().count("<polyline") == 3
