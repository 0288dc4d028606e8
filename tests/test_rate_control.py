"""The search for a target, on functions that are known."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrfjax
from lrfjax.codec.rate_control import (
    MAX_ATTEMPTS,
    MAX_DIAL,
    MAX_WEIGHT,
    MIN_DIAL,
    Attempt,
    dial_settings,
    meet_bytes,
    meet_psnr,
)
from lrfjax.errors import InputError
from tests.problems import mostly_slow

pytestmark = pytest.mark.unoptimized


class Counted:
    """A function of the dial that counts its calls. Weights lower it by a power law."""

    def __init__(self, function, exponent=0.0):
        self.function, self.exponent, self.calls = function, exponent, 0

    def __call__(self, dial, weight):
        assert MIN_DIAL <= dial <= MAX_DIAL * (1 + 1e-9)
        assert 1 / (1 + 1e-9) <= weight * MAX_WEIGHT <= MAX_WEIGHT**2 * (1 + 1e-9)
        self.calls += 1
        value = self.function(dial) * weight**-self.exponent
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


@given(
    target=st.floats(300, 3e5),
    height=st.floats(0.001, 0.3),
    width=st.floats(0.01, 0.5),
    exponent=st.floats(0.1, 0.2),
)
@settings(deadline=None)
def test_a_rate_with_steps_is_met_by_the_weight(target, height, width, exponent):
    def size(dial):
        x = math.log(dial / 480)
        return math.exp(10 - 0.7 * x - height * math.floor(x / width))

    attempt = Counted(size, exponent)
    if size(MAX_DIAL) < 0.9 * target and size(MIN_DIAL) > 1.1 * target:
        assert 0.98 * target <= meet_bytes(attempt, target) <= target
        assert attempt.calls <= MAX_ATTEMPTS


@pytest.mark.parametrize("side", [max, min])
def test_the_weight_meets_a_rate_from_either_side_of_a_jump(side):
    def encode(dial, weight):
        value = (1000 if dial < 300 else 500) * side(weight, 1.0) ** -0.15
        return Attempt(value, value)

    assert 0.98 * 700 <= meet_bytes(encode, 700.0) <= 700


def test_a_search_goes_on_until_its_bracket_is_empty():
    # Nearly flat below a cliff: secants alone creep along the flat side.
    attempt = Counted(lambda dial: 50.0 - 1e-3 * dial - 25 / (1 + (500 / dial) ** 400))
    assert abs(meet_psnr(attempt, 35.0) - 35.0) <= 0.1


def test_where_nothing_is_between_the_rate_is_below_and_the_psnr_is_refused():
    assert meet_bytes(Counted(lambda dial: 1000.0 if dial < 30 else 100.0), 500.0) == 100.0
    with pytest.raises(InputError, match=r"60.0 dB, .* 40.00 and 100.00, nothing between"):
        meet_psnr(Counted(lambda dial: 100.0 if dial < 30 else 40.0), 60.0)


def test_an_image_beyond_the_target_at_any_step_gets_the_largest():
    assert meet_psnr(Counted(lambda dial: 100.0), 60.0) == 100.0
    assert meet_bytes(Counted(lambda dial: 100.0), 500.0) == 100.0


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


@pytest.mark.parametrize(
    "encode", mostly_slow([lrfjax.dct_encode, lrfjax.svd_encode], quick=[lrfjax.dct_encode])
)
@pytest.mark.parametrize("side", mostly_slow([64, 96], quick=[64]))
def test_small_photographs_meet_their_targets(photo, encode, side):
    image = photo[:side, :side]
    for target in (1.5, 3.0):
        bpp = lrfjax.bits_per_pixel(image.shape, encode(image, target_bpp=target))
        assert 0.98 * target <= bpp <= target
    for target in (35.0, 55.0):
        decoded = lrfjax.decode(encode(image, target_psnr=target))
        assert abs(float(lrfjax.psnr(image, decoded)) - target) <= 0.1
