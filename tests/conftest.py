"""Settings of all tests.

Hypothesis has no deadline for one example: a busy machine is no bug. Under CI its examples are the same in every run, so that a
failure there repeats everywhere; elsewhere each run looks at new ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("local", **_CALM)  # type: ignore[arg-type]
settings.register_profile("ci", derandomize=True, **_CALM)  # type: ignore[arg-type]
settings.load_profile("ci" if os.environ.get("CI") else "local")
