"""The compiled parts of the server, built where there is a Rust toolchain that is new enough. Everything works without them.

With ATRIUM_BUILD_NATIVE=always a build that fails ends the installation, as where wheels are made; with =never none is tried.
"""

from __future__ import annotations

import os

from setuptools import setup
from setuptools_rust import Binding, RustExtension

MODE = os.environ.get("ATRIUM_BUILD_NATIVE", "")


def extension(target: str, crate: str) -> RustExtension:
    """The extension module of one crate."""
    return RustExtension(
        target,
        path=f"native/{crate}/Cargo.toml",
        binding=Binding.PyO3,
        py_limited_api=True,
        rust_version=">=1.83",
        debug=False,
        optional=MODE != "always",
    )


MODULES = {"sansio.kernel._native": "kernel", "trio_server._udp": "udp"}
EXTENSIONS = [] if MODE == "never" else [extension(target, crate) for target, crate in MODULES.items()]

setup(rust_extensions=EXTENSIONS, options={"bdist_wheel": {"py_limited_api": "cp311"}} if EXTENSIONS else {})
