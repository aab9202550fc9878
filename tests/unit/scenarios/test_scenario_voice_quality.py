"""The E-model against values that ITU-T published."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.scenarios.results.voice_quality import (
    burst_ratio,
    effective_equipment_impairment,
    mos,
    mouth_to_ear_ms,
    rating,
)
from helsewan.scenarios.spec.codecs import CODECS, Codec

G711, G729A = CODECS["g711"], CODECS["g729a"]


def test_defaults_give_the_published_rating() -> None:
    """G.107 (2015), 7.7: all parameters at their defaults give R = 93.2 and MOS = 4.41."""
    r = rating(0, 0, G711)
    assert r == pytest.approx(93.2, abs=0.05)
    assert mos(r) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("r", "expected"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_mos_of_rating(r: float, expected: float) -> None:
    """G.107, Annex B, Table B.1 (lower bounds of the user satisfaction categories)."""
    assert mos(r) == pytest.approx(expected, abs=0.01)


def test_ends_of_the_mos_scale() -> None:
    """G.107, equation B-4: 1 below R = 0, 4.5 above 100."""
    assert (mos(-20), mos(0), mos(100), mos(120)) == (1.0, 1.0, 4.5, 4.5)


@pytest.mark.parametrize(
    ("codec", "loss", "expected"),
    [  # equation 7-29 worked by hand: Ie + (95 - Ie) Ppl / (Ppl + Bpl), with Ie and Bpl of G.113, Appendix I
        (G711, 0.0, 0.0),
        (G711, 0.01, 95 / 26.1),
        (G711, 0.251, 47.5),
        (G729A, 0.0, 11.0),
        (G729A, 0.02, 11 + 84 * 2 / 21),
    ],
)
def test_equipment_impairment(codec: Codec, loss: float, expected: float) -> None:
    assert effective_equipment_impairment(codec, loss) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1])
def test_equipment_impairment_is_near_its_published_approximation(loss: float) -> None:
    """Cole and Rosenbluth (ACM CCR 31(2), 2001) fit measurements of independent loss e by 30 ln(1 + 15 e) for G.711
    with concealment and 11 + 40 ln(1 + 10 e) for G.729A."""
    fits = {"g711": 30 * log(1 + 15 * loss), "g729a": 11 + 40 * log(1 + 10 * loss)}
    for name, fit in fits.items():
        assert effective_equipment_impairment(CODECS[name], loss) == pytest.approx(fit, abs=2.5)


@pytest.mark.parametrize(
    ("sent", "lost", "periods", "expected"),
    [
        (100, 0, 0, 1),  # no loss
        (100, 100, 1, 1),  # nothing arrived
        (100, 20, 16, 1),  # as independent loss: runs of 1 / (1 - 0.2) = 1.25
        (100, 20, 4, 4),  # runs of 5, four times as long
        (100, 20, 20, 1),  # loss that avoids itself counts as independent
    ],
)
def test_burst_ratio(sent: int, lost: int, periods: int, expected: float) -> None:
    """G.107, 7-29: mean observed burst over the mean burst of independent loss."""
    assert burst_ratio(sent, lost, periods) == pytest.approx(expected)


def test_bursts_of_loss_are_worse_than_the_same_loss_apart() -> None:
    """Equation 7-29 worked by hand: 95 * 5 / (5 / 2 + 25.1)."""
    assert effective_equipment_impairment(G711, 0.05, 2.0) == pytest.approx(475 / 27.6)
    assert rating(50, 0.05, G711, burst_ratio=2.0) < rating(50, 0.05, G711)


@pytest.mark.parametrize("delay_ms", range(0, 301, 25))
def test_delay_impairment_is_near_its_published_approximation(delay_ms: int) -> None:
    """Cole and Rosenbluth (ACM CCR 31(2), 2001) approximate G.107's defaults by
    Id = 0.024 d + 0.11 (d - 177.3) H(d - 177.3); one point of R is a hundredth of the scale."""
    fit = 0.024 * delay_ms + 0.11 * max(delay_ms - 177.3, 0)
    assert rating(0, 0, G711) - rating(delay_ms, 0, G711) == pytest.approx(fit, abs=1)


# No packet call has less than the 20 ms of speech in its first packet; below that, G.107's sidetone term
# (STMRo, 7-11) makes a hair's breadth of more delay a gain.
delays_ms = st.floats(20, 1000)
losses = st.floats(0, 1)


@given(delays_ms, delays_ms, losses, losses, st.sampled_from(list(CODECS.values())))
def test_more_delay_or_loss_never_sounds_better(d1: float, d2: float, l1: float, l2: float, codec: Codec) -> None:
    better = mos(rating(min(d1, d2), min(l1, l2), codec))
    worse = mos(rating(max(d1, d2), max(l1, l2), codec))
    assert 1 <= worse <= better + 1e-9


def test_mouth_to_ear_adds_the_ends() -> None:
    assert mouth_to_ear_ms(12_000, 40_000, G711) == 72.0  # 20 ms in a packet
    assert mouth_to_ear_ms(12_000, 40_000, G729A) == 77.0  # and 5 ms look-ahead
