"""The log is plain text, complete, and cut where a training resumes."""

from pathlib import Path

from pansight.training.journal import Journal


def rows(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def test_rows_are_on_disk_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("training", 10, {"loss": 2.5, "rate": 0.001})
    journal.write("training", 20, {"loss": 1.25, "rate": 0.0005})
    journal.write("validation", 20, {"pq": 33.3333333333})
    table = rows(tmp_path / "training.csv")
    assert [row[0] for row in table] == ["step", "10", "20"]
    assert table[0][2:] == ["loss", "rate"]
    assert table[2][2:] == ["1.25", "0.0005"]
    assert rows(tmp_path / "validation.csv")[1][2:] == ["33.3333"]
    assert journal.latest == {"loss": 1.25, "rate": 0.0005, "pq": 33.3333333333}
    journal.close()


def test_resuming_cuts_what_is_trained_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for step in range(1, 6):
        journal.write("training", step, {"loss": float(step)})
    journal.write("validation", 5, {"pq": 1.0})
    journal.close()
    journal = Journal(tmp_path, step=3)
    journal.write("training", 4, {"loss": 40.0})
    journal.close()
    assert [row[0] for row in rows(tmp_path / "training.csv")] == ["step", "1", "2", "3", "4"]
    assert rows(tmp_path / "training.csv")[-1][2] == "40"
    assert not (tmp_path / "validation.csv").exists()


def test_time_goes_on_after_a_pause(tmp_path: Path) -> None:
    (tmp_path / "training.csv").write_text("step,seconds,loss\n5,100.0,1\n")
    journal = Journal(tmp_path, step=5)
    journal.write("training", 6, {"loss": 1.0})
    journal.close()
    assert 100 <= float(rows(tmp_path / "training.csv")[-1][1]) < 160


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, active=False)
    journal.write("validation", 1, {"pq": 1.0})
    journal.close()
    assert not list(tmp_path.iterdir())
    assert journal.latest == {"pq": 1.0}
