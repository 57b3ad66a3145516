"""Debian's docker-registry with the configuration we ship, a CA of its own and a password, on a free port."""

from __future__ import annotations

import base64
import ctypes
import datetime as dt
import ipaddress
import os
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.waiting import eventually

CONFIG = Path(__file__).parents[2] / "images" / "registry" / "config.yml"
USER, PASSWORD = "edge", "a long way: home"


class Registry:
    """Start it, stop it, start it read-only; `address` stays."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        with socket.socket() as free:
            free.bind((host, 0))
            self.address = f"{host}:{free.getsockname()[1]}"
        self.ca = folder / "ca.crt"
        _certificates(folder, host)
        (folder / "htpasswd").write_text(f"{USER}:{_bcrypt(PASSWORD)}\n")
        (folder / "password").write_text(PASSWORD + "\n")
        config = yaml.safe_load(CONFIG.read_text())
        config["http"]["addr"] = self.address
        config["http"]["tls"] |= {"certificate": str(folder / "registry.crt"), "key": str(folder / "registry.key")}
        config["auth"]["htpasswd"]["path"] = str(folder / "htpasswd")
        config["storage"]["filesystem"]["rootdirectory"] = str(folder / "data")
        self.config = folder / "config.yml"
        self.config.write_text(yaml.safe_dump(config))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, read_only: bool = False) -> Registry:
        variables = {"REGISTRY_STORAGE_MAINTENANCE_READONLY": '{"enabled":true}'} if read_only else {}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", self.config], env={**os.environ, **variables}, stdout=log, stderr=log
            )
        eventually(self.answers)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def answers(self) -> bool:
        try:
            self.ask("GET", "")
        except OSError:
            return False
        return True

    def ask(self, method: str, path: str, *, password: str = PASSWORD) -> bytes:
        """Errors: OSError."""
        word = base64.b64encode(f"{USER}:{password}".encode()).decode()
        request = urllib.request.Request(f"https://{self.address}/v2/{path}", method=method)
        request.add_header("Authorization", f"Basic {word}")
        context = ssl.create_default_context(cafile=self.ca)
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            body: bytes = answer.read()
        return body

    def size(self) -> int:
        """Bytes of what it keeps."""
        return sum(path.stat().st_size for path in (self.folder / "data").rglob("*") if path.is_file())

    def skopeo(self, *words: str) -> str:
        """One of skopeo's commands on an image here, such as `inspect --raw NAME`."""
        *rest, name = words
        certs = self.folder / "certs"
        certs.mkdir(exist_ok=True)
        (certs / "ca.crt").write_bytes(self.ca.read_bytes())
        line = [
            "skopeo",
            *rest,
            "--cert-dir",
            str(certs),
            "--creds",
            f"{USER}:{PASSWORD}",
            f"docker://{self.address}/{name}",
        ]
        return subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout


def _bcrypt(password: str) -> str:
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    made: bytes = crypt(password.encode(), b"$2b$05$" + b"abcdefghijklmnopqrstuu")
    return made.decode()


def _certificates(folder: Path, host: str) -> None:
    now = dt.datetime.now(dt.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "registry")}
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge appliance CA")])
    for name, key in keys.items():
        subject = issuer if name == "ca" else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        )
        if name != "ca":
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(keys["ca"], hashes.SHA256())
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, plain))
