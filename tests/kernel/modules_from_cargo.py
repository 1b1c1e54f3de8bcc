"""A plugin of pytest: the compiled modules are those that Cargo has put into the directory ATRIUM_MODULES.

So tests run on another build of them than the one that is installed.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

FILES = {"sansio.kernel._native": "libatrium_kernel.so", "trio_server._udp": "libatrium_udp.so"}


def load(name: str, path: Path) -> None:
    """Import the module of that name from there."""
    loader = ExtensionFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    import_module(name.rpartition(".")[0])
    module = module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module


for _name, _file in FILES.items():
    load(_name, Path(os.environ["ATRIUM_MODULES"]).resolve() / _file)
