"""The search for a target, on functions that are known."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrfjax.codec.rate_control import (
    MAX_ATTEMPTS,
    MAX_DIAL,
    MIN_DIAL,
    Attempt,
    dial_settings,
    meet_bytes,
    meet_psnr,
)
from lrfjax.errors import InputError

pytestmark = pytest.mark.unoptimized


class Counted:
    """A function of the dial that counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, dial):
        assert MIN_DIAL <= dial <= MAX_DIAL * (1 + 1e-9)
        self.calls += 1
        value = self.function(dial)
        return Attempt(value, value)


@given(
    target=st.floats(300, 3e5),
    exponent=st.floats(0.7, 1.3),
    bend=st.floats(-0.05, 0.05),
)
@settings(deadline=None)
def test_bytes_are_met_within_two_percent_and_never_above(target, exponent, bend):
    def size(dial):
        x = math.log(dial / 480)
        return math.exp(10 - exponent * x - bend * x * x)

    attempt = Counted(size)
    if size(MAX_DIAL) < 0.9 * target and size(MIN_DIAL) > 1.1 * target:
        found = meet_bytes(attempt, target)
        assert 0.98 * target <= found <= target
        assert attempt.calls <= MAX_ATTEMPTS


@given(target=st.floats(22, 48), slope=st.floats(4, 8))
@settings(deadline=None)
def test_psnr_is_met_within_a_tenth(target, slope):
    attempt = Counted(lambda dial: 32 - slope * math.log(dial / 480))
    found = meet_psnr(attempt, target)
    assert abs(found - target) <= 0.1
    assert attempt.calls <= MAX_ATTEMPTS


def test_where_nothing_is_between_the_least_above_is_taken():
    assert meet_psnr(Counted(lambda dial: 100.0 if dial < 30 else 40.0), 60.0) == 100.0
    assert meet_bytes(Counted(lambda dial: 1000.0 if dial < 30 else 100.0), 500.0) == 100.0


def test_what_cannot_be_met_is_said():
    with pytest.raises(InputError, match=r"100 bytes, .* least 140"):
        meet_bytes(Counted(lambda dial: 140.0 + 1 / dial), 100.0)
    with pytest.raises(InputError, match=r"60.0 dB, .* 48.00"):
        meet_psnr(Counted(lambda dial: 48.0), 60.0)


def test_the_lagrangian_rises_between_steps():
    step, low = dial_settings(100.0)
    assert step == 100
    assert dial_settings(100.9)[0] == 100
    assert low < dial_settings(100.5)[1] < dial_settings(100.9)[1]
