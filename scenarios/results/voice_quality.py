"""Voice quality from delay and loss: the E-model of ITU-T G.107 (06/2015), narrow-band.

Every symbol has the name and default of the recommendation (G.107, Table 2); its clause is beside each
formula. Equipment impairments are the codec's (`spec.codecs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log2, log10, sqrt

from helsewan.scenarios.spec.codecs import Codec


@dataclass(frozen=True, slots=True)
class LineImpairments:
    """The E-model's parameters apart from delay, codec and loss, at their defaults (G.107, Table 2)."""

    slr: float = 8.0  # send loudness rating, dB
    rlr: float = 2.0  # receive loudness rating, dB
    stmr: float = 15.0  # sidetone masking rating, dB
    ds: float = 3.0  # D-value of the telephone, send side
    dr: float = 3.0  # D-value of the telephone, receive side
    telr: float = 65.0  # talker echo loudness rating, dB
    wepl: float = 110.0  # weighted echo path loss, dB
    qdu: float = 1.0  # quantisation distortion units
    nc: float = -70.0  # circuit noise, dBm0p
    nfor: float = -64.0  # noise floor at the receive side, dBmp
    ps: float = 35.0  # room noise at the send side, dB(A)
    pr: float = 35.0  # room noise at the receive side, dB(A)
    st: float = 1.0  # delay sensitivity, sT
    mt_ms: float = 100.0  # minimum perceivable delay, mT
    advantage: float = 0.0  # advantage factor, A


DEFAULT_LINE = LineImpairments()


def rating(
    delay_ms: float, loss: float, codec: Codec, line: LineImpairments = DEFAULT_LINE, burst_ratio: float = 1.0
) -> float:
    """The transmission rating factor R for a mouth-to-ear delay and a loss share (clause 7.1, equation 7-1).

    A packet call has one delay for everything: T = Ta = ``delay_ms`` and Tr = 2 T.
    """
    noise = _circuit_noise(line)
    ro = 15 - 1.5 * (line.slr + noise)  # 7-2
    i_st, i_s = _simultaneous(line, ro, noise, delay_ms)
    i_dte, i_dle = _talker_echo(line, noise, i_st, delay_ms), _listener_echo(line, ro, 2 * delay_ms)
    i_d = i_dte + i_dle + _pure_delay(line, delay_ms)  # 7-18
    return ro - i_s - i_d - effective_equipment_impairment(codec, loss, burst_ratio) + line.advantage


def mos(r: float) -> float:
    """The estimated mean opinion score for a rating R, 1 to 4.5 (Annex B, equation B-4)."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def mouth_to_ear_ms(network_delay_us: float, jitter_buffer_us: float, codec: Codec) -> float:
    """Mouth-to-ear delay in ms: packetisation, look-ahead, the network, the receiver's jitter buffer."""
    return (codec.interval_us + codec.lookahead_us + network_delay_us + jitter_buffer_us) / 1000


def burst_ratio(sent: int, lost: int, periods: int) -> float:
    """BurstR (clause 3, 7-29): the mean length of the runs of lost packets over the 1 / (1 - loss) that independent
    loss would have; 1 without loss, where everything is lost, and where runs are shorter than that."""
    if not 0 < lost < sent:
        return 1.0
    return max(lost / periods * (1 - lost / sent), 1.0)


def effective_equipment_impairment(codec: Codec, loss: float, burst_ratio: float = 1.0) -> float:
    """Ie-eff: the codec's impairment under a share ``loss`` of packets lost (7-29)."""
    percent = 100 * loss
    return codec.ie + (95 - codec.ie) * percent / (percent / burst_ratio + codec.bpl)


def _circuit_noise(line: LineImpairments) -> float:
    """No: the power sum of all noise at the 0 dBr point (7-3 to 7-7)."""
    olr = line.slr + line.rlr
    nos = line.ps - line.slr - line.ds - 100 + 0.004 * (line.ps - olr - line.ds - 14) ** 2
    lstr = line.stmr + line.dr
    pre = line.pr + 10 * log10(1 + 10 ** ((10 - lstr) / 10))
    nor = line.rlr - 121 + pre + 0.008 * (pre - 35) ** 2
    nfo = line.nfor + line.rlr
    return 10 * log10(sum(10 ** (level / 10) for level in (line.nc, nos, nor, nfo)))


def _simultaneous(line: LineImpairments, ro: float, noise: float, t_ms: float) -> tuple[float, float]:
    """(Ist, Is): impairments that come with the speech (7-8 to 7-17)."""
    x = line.slr + line.rlr + 0.2 * (64 + noise - line.rlr)
    i_olr = 20 * ((1 + (x / 8) ** 8) ** (1 / 8) - x / 8)
    stmro = -10 * log10(10 ** (-line.stmr / 10) + exp(-t_ms / 4) * 10 ** (-line.telr / 10))
    i_st = (
        12 * (1 + ((stmro - 13) / 6) ** 8) ** (1 / 8)
        - 28 * (1 + ((stmro + 1) / 19.4) ** 35) ** (1 / 35)
        - 13 * (1 + ((stmro - 3) / 33) ** 13) ** (1 / 13)
        + 29
    )
    q = 37 - 15 * log10(line.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y = (ro - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    i_q = 15 * log10(1 + 10**y + 10**z)
    return i_st, i_olr + i_st + i_q


def _talker_echo(line: LineImpairments, noise: float, i_st: float, t_ms: float) -> float:
    """Idte: the talker hears himself (7-19 to 7-24)."""
    terv = line.telr - 40 * log10((1 + t_ms / 10) / (1 + t_ms / 150)) + 6 * exp(-0.3 * t_ms**2)
    if line.stmr < 9:
        terv += i_st / 2
    roe = -1.5 * (noise - line.rlr)
    re = 80 + 2.5 * (terv - 14)
    idte = ((roe - re) / 2 + sqrt((roe - re) ** 2 / 4 + 100) - 1) * (1 - exp(-t_ms))
    return sqrt(idte**2 + i_st**2) if line.stmr > 20 else idte


def _listener_echo(line: LineImpairments, ro: float, tr_ms: float) -> float:
    """Idle: the listener hears the talker twice (7-25, 7-26)."""
    rle: float = 10.5 * (line.wepl + 7) * (tr_ms + 1) ** -0.25
    return (ro - rle) / 2 + sqrt((ro - rle) ** 2 / 4 + 169)


def _pure_delay(line: LineImpairments, ta_ms: float) -> float:
    """Idd: too long a delay even with perfect echo cancelling (7-27, 7-28)."""
    if ta_ms <= line.mt_ms:
        return 0.0
    x = log2(ta_ms / line.mt_ms)
    six = 6 * line.st
    idd: float = 25 * ((1 + x**six) ** (1 / six) - 3 * (1 + (x / 3) ** six) ** (1 / six) + 2)
    return idd
