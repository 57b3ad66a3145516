"""Certificates and kubeconfigs of one cluster: made in milliseconds (elliptic curves), valid for a month."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = datetime.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, as files in PEM."""

    certificate: Path
    key: Path


class Authority:
    """The cluster's own certificate authority. Files go into `folder`, keys readable by their owner alone."""

    def __init__(self, folder: Path, now: datetime.datetime) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge test cluster")])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        made = self._signed(self._name, self._key, [(x509.BasicConstraints(True, 0), True), (usage, True)])
        self.certificate = self._write("ca", made, self._key).certificate

    def identity(self, file: str, user: str, group: str = "", names: tuple[str, ...] = ()) -> Identity:
        """A certificate for a server and client. `names` are DNS names and addresses; `group` is the organisation."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (usages, False),
            (x509.BasicConstraints(False, None), True),
        ]
        if names:
            extensions.append((x509.SubjectAlternativeName([general(name) for name in names]), False))
        return self._write(file, self._signed(x509.Name(subject), key, extensions), key)

    def signing_key(self, file: str) -> Identity:
        """A key pair for tokens; `certificate` holds the public key."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = self.folder / f"{file}.pub"
        public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return Identity(public, self._write_key(file, key))

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extensions: list[tuple[x509.ExtensionType, bool]]
    ) -> x509.Certificate:
        start = self._now - datetime.timedelta(hours=1)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(self._now + VALID)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Identity:
        path = self.folder / f"{file}.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return Identity(path, self._write_key(file, key))

    def _write_key(self, file: str, key: ec.EllipticCurvePrivateKey) -> Path:
        path = self.folder / f"{file}.key"
        path.touch(0o600)
        form = serialization.PrivateFormat.PKCS8
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return path


def general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def kubeconfig(file: Path, server: str, authority: bytes, user: dict[str, str], namespace: str = "default") -> Path:
    """Write a kubeconfig that needs no other file. `user` is kubectl's: certificates as data, or a token."""
    ca = base64.b64encode(authority).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "edge", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "edge", "user": user}],
        "contexts": [{"name": "edge", "context": {"cluster": "edge", "user": "edge", "namespace": namespace}}],
        "current-context": "edge",
    }
    file.touch(0o600)
    file.write_text(json.dumps(document, indent=1))
    return file


def credentials(identity: Identity) -> dict[str, str]:
    """The `user` of a kubeconfig for a certificate."""
    files = {"client-certificate-data": identity.certificate, "client-key-data": identity.key}
    return {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
