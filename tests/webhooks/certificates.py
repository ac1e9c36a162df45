"""Certificates for tests, made on the spot."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass
class Authority:
    """Signs servers' certificates; `lasts`: from when to when, counted from now."""

    name: str = "Calliyo's tests"
    lasts: tuple[timedelta, timedelta] = (-10 * DAY, 10 * DAY)

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.signed(self.key, self.name, self.lasts, authority=True)

    def signed(
        self,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        lasts: tuple[timedelta, timedelta],
        *,
        authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        is_address = name.replace(".", "").isdigit()
        named = x509.IPAddress(ip_address(name)) if is_address else x509.DNSName(name.replace(" ", "-"))
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + lasts[0])
            .not_valid_after(now + lasts[1])
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([named]), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())

    def trusted(self) -> ssl.SSLContext:
        """What a client has that trusts this authority, beside those of the system."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=_pem(self.certificate).decode())
        return context

    def server(
        self, folder: Path, host: str, lasts: tuple[timedelta, timedelta] = (-5 * DAY, 5 * DAY)
    ) -> ssl.SSLContext:
        """A server's context with a certificate for `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _serving(folder, key, self.signed(key, host, lasts))

    def self_signed(self, folder: Path) -> ssl.SSLContext:
        """A server's context with the authority's own certificate."""
        return _serving(folder, self.key, self.certificate)


def _serving(folder: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> ssl.SSLContext:
    pem = folder / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(secret + _pem(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
