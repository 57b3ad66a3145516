"""What takes the place of Alpine's packages, for its mirrors cannot be reached either: this machine's own programs.

Enters: the name of a package that our container files ask `apk` for. Leaves: an archive that the stand-in's `apk` unpacks.
`python3` is the Python that runs the tests, with its libraries and the standard library less what Alpine packs apart or not
at all; `nodejs` is this machine's node; `py3-pip` is the pip of the tests' environment. All of it is linked with glibc, where
Alpine's is with musl: sizes are this machine's, and pip chooses the wheels for glibc.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import pip

HERE = "/stand-in"
"""Where the archives are while an image is built; nothing of them stays in it."""
APK = f"""#!/bin/sh
# The stand-in's apk: `apk add --no-cache NAME...` unpacks the test machine's own programs.
[ "$1" = add ] || exit 64
shift
for name in "$@"; do
    [ "$name" = --no-cache ] || tar -C / -xf "{HERE}/$name.tar" || exit 1
done
"""
PIP = f"""#!/bin/sh
PIP_CONFIG_FILE={HERE}/pip.conf PYTHONPATH=/usr/lib/pip exec python3 -m pip "$@"
"""
LEFT_OUT = re.compile(
    r"(^|/)((__pycache__|test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|(site|dist)-packages|config-3[^/]*)(/|$)"
    r"|(_tkinter|nis|_test|_ctypes_test|_xx|xx)[^/]*[.]so$)"
)
COMPILER = ("libstdc++.so.6", "libgcc_s.so.1", "librt.so.1", "libpthread.so.0", "libdl.so.2")
"""The wheel of awslambdaric for glibc takes them from the system; the one for musl brings them."""
DEBIAN_NODE = Path("/usr/share/nodejs")
"""Debian's node reads some of its own modules from there at every start."""
NODE_MODULES = ("acorn", "acorn-walk", "busboy", "cjs-module-lexer", "undici")


def write(folder: Path) -> dict[str, str]:
    """Writes the archives; the environment in which `buildah build` finds them."""
    folder.mkdir()
    with tarfile.open(folder / "python3.tar", "w") as archive:
        library = Path(sysconfig.get_paths()["stdlib"])
        program = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
        modules = [path for path in library.glob("lib-dynload/*.so") if not LEFT_OUT.search(path.name)]
        _programs(archive, {"python3": program}, modules, COMPILER)
        _add(archive, library, f"usr/lib/{library.name}")
    with tarfile.open(folder / "py3-pip.tar", "w") as archive:
        _add(archive, Path(pip.__file__).parent, "usr/lib/pip/pip")
        _text(archive, "usr/bin/pip", PIP)
    if node := shutil.which("node"):
        with tarfile.open(folder / "nodejs.tar", "w") as archive:
            _programs(archive, {"node": Path(node).resolve()})
            for name in NODE_MODULES:
                if (DEBIAN_NODE / name).exists():
                    _add(archive, (DEBIAN_NODE / name).resolve(), str(DEBIAN_NODE / name)[1:])
    _pip_settings(folder)
    configuration = folder / "containers.conf"
    configuration.write_text(f'[containers]\nvolumes = ["{folder}:{HERE}:ro"]\n')
    return {"CONTAINERS_CONF": str(configuration)}


def _programs(
    archive: tarfile.TarFile, programs: dict[str, Path], modules: Iterable[Path] = (), more: Iterable[str] = ()
) -> None:
    """Into usr/bin, stripped as Alpine's are, with the libraries in `more` and all that they and `modules` are linked with."""
    libraries: dict[str, Path] = {}
    for path in (*programs.values(), *modules):
        said = subprocess.run(["ldd", path], capture_output=True, text=True, check=True, timeout=60).stdout
        libraries |= {f"usr/lib/{name}": Path(found) for name, found in re.findall(r"(\S+) => (/\S+)", said)}
        # the loader has no arrow: programs name it with its folder
        libraries |= {found[1:]: Path(found) for found in re.findall(r"^\s*(/\S+)", said, re.MULTILINE)}
    known = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True, timeout=60).stdout
    for name in more:
        libraries[f"usr/lib/{name}"] = Path(
            re.findall(rf"^\s*{re.escape(name)} .*x86-64.* => (/\S+)", known, re.MULTILINE)[0]
        )
    for name, path in {**{f"usr/bin/{name}": path for name, path in programs.items()}, **libraries}.items():
        with tempfile.TemporaryDirectory() as folder:
            stripped = Path(folder) / "stripped"
            subprocess.run(["strip", "--strip-unneeded", "-o", stripped, path.resolve()], check=True, timeout=60)
            _add(archive, stripped, name)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = entry.mtime = 0
        return None if LEFT_OUT.search(entry.name.removeprefix(name)) else entry

    archive.add(path, name, filter=kept)


def _text(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text), 0o755
    archive.addfile(entry, BytesIO(text.encode()))


def _pip_settings(folder: Path) -> None:
    """pip in a build asks whom pip asks on this machine."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = dict(re.findall(r"^(?:global|:env:)\.([a-z-]+)='(.*)'$", listed.stdout, re.MULTILINE))
    settings.pop("find-links", None)
    if "cert" in settings:
        shutil.copy(settings["cert"], folder / "ca.crt")
        settings["cert"] = f"{HERE}/ca.crt"
    (folder / "pip.conf").write_text("\n".join(["[global]", *(f"{key} = {settings[key]}" for key in settings)]) + "\n")
