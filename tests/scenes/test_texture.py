"""Noise fields: balanced, seamless, the same whoever asks first."""

import hashlib

import numpy as np
import pytest

from pansight.scenes.texture import SIDE, field, grain, sample, sample_ground


@pytest.mark.parametrize("name", ["leaf", "ground", "ripple", "cloud"])
def test_fields_are_balanced_and_seamless(name: str) -> None:
    values = field(name).astype(np.float64)
    assert values.shape == (SIDE, SIDE)
    assert abs(values.mean() - 128) < 3
    assert 40 < values.std() < 60
    for axis in (0, 1):
        steps = np.abs(np.diff(values, axis=axis)).mean()
        seam = np.abs(values.take(0, axis) - values.take(-1, axis)).mean()
        assert seam < 2 * steps + 1


def test_fields_do_not_depend_on_who_asks_first() -> None:
    order = ["leaf", "ground", "ripple", "cloud"]
    digests = []
    for names in (order, order[::-1]):
        field.cache_clear()
        digests.append({name: hashlib.sha256(field(name).tobytes()).hexdigest() for name in names})
    assert digests[0] == digests[1]
    assert len(set(digests[0].values())) == 4


def test_samples_move_with_their_shift() -> None:
    one = sample("leaf", 30, 40, 1.0, (5, 500))
    two = sample("leaf", 30, 40, 1.0, (5, 503))
    assert np.array_equal(one[:, 3:], two[:, :-3])
    assert np.abs(one).max() <= 1.0


def test_samples_fit_any_size() -> None:
    assert sample("cloud", 700, 900, 0.2, (3, 7)).shape == (700, 900)
    assert sample("cloud", 20, 30, 4.0, (3, 7)).shape == (20, 30)


def test_ground_is_finer_towards_the_horizon() -> None:
    depths = np.linspace(0, 1, 200, dtype=np.float32)
    rows = np.abs(np.diff(sample_ground("ground", depths, 300, 1.0, (0, 0), 6.0), axis=0)).mean(1)
    assert rows[:40].mean() > 1.5 * rows[-40:].mean()


def test_grain_is_noise_of_standard_deviation_one() -> None:
    noise = grain(120, 160, 12345)
    assert noise.shape == (3, 120, 160)
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.03
    assert not np.array_equal(noise, grain(120, 160, 54321))
    assert grain(64, 64, (1 << 22) - 10).shape == (3, 64, 64), "goes round at the end of the bank"
