"""umqtt.simple, the client most boards use, to measure beside: from the package registry, never part of this project.

It is one file of MicroPython in an archive that pip finds and will not unpack, for it is no package of Python: so pip's own
finder fetches it, from whatever registry pip is set to. The checksum was computed from the file.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.firmware.unixboard import ROOT, compile_to

NAME, VERSION = "micropython-umqtt.simple", "1.3.4"
SHA256 = "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
FIND = """
import sys
from pip._internal.commands import create_command
command = create_command("download")
options, _ = command.parse_args(["--no-binary", ":all:", "-"])
with command.main_context():
    session = command.get_default_session(options)
    finder = command._build_package_finder(options=options, session=session)
    found = [each for each in finder.find_all_candidates(sys.argv[1]) if str(each.version) == sys.argv[2]]
    sys.stdout.buffer.write(session.get(found[0].link.url_without_fragment).content)
"""


def umqtt_simple() -> Path:
    """A folder with `simple.mpy`, compiled as our firmware is."""
    folder = ROOT / ".cache" / "firmware" / f"umqtt-{SHA256[:16]}"
    if not (folder / "simple.mpy").exists():
        found = subprocess.run([sys.executable, "-c", FIND, NAME, VERSION], capture_output=True, check=True).stdout
        got = hashlib.sha256(found).hexdigest()
        assert got == SHA256, f"{NAME} {VERSION} has the checksum {got}, not the pinned {SHA256}"
        with tarfile.open(fileobj=io.BytesIO(found)) as archive:
            source = archive.extractfile(f"{NAME}-{VERSION}/umqtt/simple.py")
            assert source is not None
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "simple.py").write_bytes(source.read())
        compile_to(folder / "simple.py", folder / "simple.mpy")
        (folder / "simple.py").unlink()  # MicroPython would take the source first, and compile it in the small heap
    return folder
