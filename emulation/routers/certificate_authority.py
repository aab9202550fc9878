"""The certificate authority of one sandbox; the only module that issues certificates.

Its private key is kept in memory only and ends with the run. Certificates are limited to one purpose: a switch's cannot
be used as the controller's, which Open vSwitch and OpenSSL check (RFC 5280, 4.2.1.12, extended key usage).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from helsewan.topology.management import datapath_name

LIFE = timedelta(days=365)  # longer than any run
_BACKDATED = timedelta(days=1)  # tolerates the clock being set during a run
_SIGNING = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
_ISSUING = x509.KeyUsage(False, False, False, False, False, True, True, False, False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM files of one end of a TLS connection: its key, its certificate, and the authority it trusts."""

    key: Path
    certificate: Path
    authority: Path


class CertificateAuthority:
    """Issues certificates (ECDSA, P-256) into ``folder``, readable by this user alone."""

    def __init__(self, folder: Path) -> None:
        """Create the authority's key and certificate. Raises OSError if the files cannot be created."""
        self._folder = folder
        folder.mkdir(mode=0o700)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("helsewan sandbox")
        self._file = folder / "authority.pem"
        own = self._unsigned("helsewan sandbox", self._key.public_key(), LIFE)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        own = own.add_extension(_ISSUING, critical=True)
        _write(self._file, own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def for_controller(self) -> Credentials:
        """Issue a controller's credentials."""
        return self._issue("controller", "controller", ExtendedKeyUsageOID.SERVER_AUTH, (), LIFE)

    def for_switch(self, name: str, datapath_ids: Iterable[int], life: timedelta = LIFE) -> Credentials:
        """Issue the credentials of switch ``name``, valid for ``datapath_ids`` and for ``life`` from now."""
        uris = map(datapath_name, datapath_ids)
        return self._issue(f"switch-{name}", name, ExtendedKeyUsageOID.CLIENT_AUTH, uris, life)

    def _issue(
        self, file: str, name: str, purpose: x509.ObjectIdentifier, uris: Iterable[str], life: timedelta
    ) -> Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._unsigned(name[:64], key.public_key(), life)  # maximum of a common name (RFC 5280, appendix A.1)
        leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        leaf = leaf.add_extension(_SIGNING, critical=True)
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        if names := [x509.UniformResourceIdentifier(uri) for uri in uris]:
            leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
        credentials = Credentials(self._folder / f"{file}.key", self._folder / f"{file}.pem", self._file)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        _write(credentials.key, key.private_bytes(encoding, form, serialization.NoEncryption()))
        signed = leaf.sign(self._key, hashes.SHA256())
        _write(credentials.certificate, signed.public_bytes(serialization.Encoding.PEM))
        return credentials

    def _unsigned(self, name: str, key: ec.EllipticCurvePublicKey, life: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        serial = x509.random_serial_number()
        blank = x509.CertificateBuilder(self._name, _named(name), key, serial, now - _BACKDATED, now + life)
        blank = blank.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return blank.add_extension(issuer, critical=False)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _write(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
