"""All of the internet that nodes have: apt's sources, through a proxy on the LAN's router.

No packet of a node is forwarded: what is not apt fails as on a Pi without a line, and a line is cut by closing this. Packages
(they carry their version in their name, and apt checks their hash) are kept in `.cache/ansible/packages` and fetched once.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

PORT = 3142
KEPT = re.compile(r"/pool/.*\.deb$|/by-hash/")


class Outside:
    """A proxy for apt at `address`. `asked` are the paths it was asked for, the newest last."""

    def __init__(self, address: str, cache: Path) -> None:
        self.address, self.cache = address, cache
        self.url = f"http://{address}:{PORT}"
        self.asked: list[str] = []
        self._server: ThreadingHTTPServer | None = None

    def open(self) -> None:
        """Begin to serve."""
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outside.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self.cache.mkdir(parents=True, exist_ok=True)
        self._server = ThreadingHTTPServer((self.address, PORT), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Cut: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self._server is None:  # a connection of before the cut
            request.close_connection = True
            return None
        self.asked.append(request.path)
        kept = self.cache / urlsplit(request.path).path.strip("/").replace("/", "_")
        if KEPT.search(request.path) and kept.exists():
            with kept.open("rb") as file:
                return send(request, kept.stat().st_size, file)
        headers = {
            name: value for name, value in request.headers.items() if name in ("If-Modified-Since", "User-Agent")
        }
        try:
            with urllib.request.urlopen(urllib.request.Request(request.path, headers=headers), timeout=60) as response:
                if not KEPT.search(request.path):
                    return send(
                        request, int(response.headers["Content-Length"]), response, response.headers["Last-Modified"]
                    )
                with tempfile.NamedTemporaryFile(dir=self.cache, delete=False) as fresh:
                    shutil.copyfileobj(response, fresh)
                Path(fresh.name).replace(kept)
        except urllib.error.HTTPError as error:
            request.send_response(error.code)
            request.send_header("Content-Length", "0")
            return request.end_headers()
        except OSError as error:
            request.send_error(502, str(error)[:80])
            return None
        with kept.open("rb") as file:
            return send(request, kept.stat().st_size, file)


def send(request: BaseHTTPRequestHandler, size: int, body: BinaryIO, modified: str | None = None) -> None:
    """200 with `size` bytes."""
    request.send_response(200)
    request.send_header("Content-Length", str(size))
    if modified:
        request.send_header("Last-Modified", modified)
    request.end_headers()
    shutil.copyfileobj(body, request.wfile)
