"""Bjontegaard deltas, against their definition and the package `bjontegaard`."""

import bjontegaard
import numpy as np
import pytest

import lrfjax
from lrfjax.evaluation.bjontegaard import bd_psnr, bd_rate

REFERENCES = {bd_rate: bjontegaard.bd_rate, bd_psnr: bjontegaard.bd_psnr}


def _curve(seed, points):
    """Return a strictly rising curve of a random shape."""
    rng = np.random.default_rng(seed)
    rates = 0.08 * np.exp(np.cumsum(rng.uniform(0.1, 0.7, points)))
    return rates, 26 + seed % 3 + np.cumsum(rng.uniform(0.4, 2.5, points))


@pytest.mark.parametrize("delta", [bd_rate, bd_psnr])
@pytest.mark.parametrize(("n", "m"), [(4, 4), (5, 9), (14, 7)])
def test_deltas_agree_with_the_package(delta, n, m):
    for seed in range(8):
        anchor, curve = _curve(seed, n), _curve(100 + seed, m)
        expected = REFERENCES[delta](
            *anchor, *curve, method="pchip", require_matching_points=False, min_overlap=0
        )
        assert np.isclose(delta(*anchor, *curve), expected, rtol=1e-6, atol=1e-8)


def test_deltas_of_straight_lines():
    rates = np.array([0.1, 0.2, 0.4, 0.8])
    line = rates, 30 + 5 * np.log2(rates)
    assert np.isclose(bd_psnr(*line, rates, line[1] + 0.7), 0.7)
    assert np.isclose(bd_psnr(*line, rates / 2, line[1]), 5)
    assert np.isclose(bd_rate(*line, rates / 2, line[1]), -50)


def test_deltas_do_not_depend_on_units_or_order():
    anchor, curve = _curve(3, 6), _curve(4, 8)
    shuffled = tuple(values[[5, 2, 0, 7, 1, 6, 3, 4]] for values in curve)
    for delta, unit in ((bd_rate, 1), (bd_psnr, 1e-4)):
        value = delta(*anchor, *curve)
        assert np.isclose(delta(*anchor, *shuffled), value)
        scaled = [(393216 * rates, 1e-4 * qualities + 0.5) for rates, qualities in (anchor, curve)]
        assert np.isclose(delta(*scaled[0], *scaled[1]), unit * value)
        # A cheaper point of the curve is better than this one.
        worse = np.append(curve[0], 1.01 * curve[0][3]), np.append(curve[1], curve[1][3] - 0.1)
        assert np.isclose(delta(*anchor, *worse), value)
    there, back = bd_psnr(*anchor, *curve), bd_psnr(*curve, *anchor)
    assert np.isclose(there, -back)
    assert there != 0


def test_without_a_common_interval_there_is_no_delta():
    rates = np.array([0.1, 0.2, 0.3, 0.5])
    qualities = np.array([30.0, 31, 33, 34])
    assert np.isnan(bd_rate(rates, qualities, rates, qualities + 10))
    assert np.isnan(bd_psnr(rates, qualities, 10 * rates, qualities))
    assert np.isfinite(bd_psnr(rates, qualities, rates, qualities + 10))
    assert np.isfinite(bd_rate(rates[:2], qualities[:2], rates[:2], qualities[:2]))
    assert np.isnan(bd_psnr(rates, qualities, rates[:1], qualities[:1]))
    assert np.isnan(bd_rate(rates[:1], qualities[:1], rates, qualities))


def test_two_points_make_a_straight_line():
    assert np.isclose(bd_psnr([0.1, 0.4], [30.0, 34.0], [0.1, 0.4], [31.0, 36.0]), 1.5)


@pytest.mark.parametrize("delta", [bd_rate, bd_psnr])
def test_bad_curves_are_refused(delta):
    good = [0.1, 0.2], [30.0, 31.0]
    with pytest.raises(lrfjax.InputError, match=r"anchor_rates must have one quality each"):
        delta([0.1], good[1], *good)
    for bad in ([0.0, 0.2], [np.nan, 0.2], [0.1, np.inf]):
        with pytest.raises(lrfjax.InputError, match=r"^rates must be positive"):
            delta(*good, bad, good[1])
    with pytest.raises(lrfjax.InputError, match="qualities finite"):
        delta(*good, good[0], [30.0, np.inf])
