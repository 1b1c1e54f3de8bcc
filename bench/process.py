"""A server process to measure: started on free ports, its CPU time and memory read from /proc, ended by its id."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KEY, SECRET = "devkey", "secret"
_STARTED = re.compile(rb"server started .*portHttp=(\d+).*portUDP=(\d+)")
_TICKS = os.sysconf("SC_CLK_TCK")


class ServerProcess:
    """`atrium dev` with these flags in a process of its own; use as a context manager."""

    def __init__(self, *flags: str) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="atrium-bench-")  # noqa: SIM115 - lives as long as the process
        command = [sys.executable, "-m", "trio_server.cli", "dev", "--port", "0", "--udp-port", "0", *flags]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL)
        self.port, self.udp_port = self._wait()

    def _wait(self) -> tuple[int, int]:
        for _ in range(600):
            found = _STARTED.search(Path(self._log.name).read_bytes())
            if found:
                return int(found[1]), int(found[2])
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"the server did not start:\n{Path(self._log.name).read_text()}")

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def lost_datagrams(self) -> int:
        """Datagrams so far that came while the queue of its socket for media was full."""
        rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
        return sum(int(row[-1]) for row in rows if int(row[1].rsplit(":", 1)[1], 16) == self.udp_port)

    def memory_bytes(self) -> int:
        """Resident memory."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
