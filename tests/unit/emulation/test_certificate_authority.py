"""Certificates of a sandbox: their contents, file permissions, and verification by OpenSSL."""

from __future__ import annotations

import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from helsewan.emulation.routers.certificate_authority import CertificateAuthority


def verdict(authority: Path, certificate: Path, purpose: str) -> str:
    """What openssl-verify(1) says."""
    argv = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(authority), str(certificate)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_openssl_accepts_each_for_its_purpose_alone(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "credentials")
    switch, controller = authority.for_switch("oslo", [1]), authority.for_controller()
    assert ": OK" in verdict(switch.authority, switch.certificate, "sslclient")
    assert ": OK" in verdict(controller.authority, controller.certificate, "sslserver")
    for shown, purpose in ((switch, "sslserver"), (controller, "sslclient")):
        assert "unsuitable certificate purpose" in verdict(shown.authority, shown.certificate, purpose)


def test_expired_and_foreign_ones_do_not_verify(tmp_path: Path) -> None:
    authority, other = CertificateAuthority(tmp_path / "one"), CertificateAuthority(tmp_path / "other")
    expired = authority.for_switch("old", [1], timedelta(hours=-1))
    assert "expired" in verdict(expired.authority, expired.certificate, "sslclient")
    foreign = other.for_switch("foreign", [1])
    assert "unable to get local issuer" in verdict(expired.authority, foreign.certificate, "sslclient")


def test_files_are_this_users_alone_and_the_authoritys_key_is_in_none(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    authority = CertificateAuthority(folder)
    authority.for_switch("authority", [1])  # whatever routers are called
    authority.for_switch("controller", [2])
    authority.for_controller()
    files = list(folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and len(files) == 7
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert sum(b"PRIVATE KEY" in file.read_bytes() for file in files) == 3


@pytest.mark.parametrize("length", [1, 64, 100])
def test_names_of_any_length_will_do(tmp_path: Path, length: int) -> None:
    CertificateAuthority(tmp_path / "credentials").for_switch("n" * length, [1])
