"""Both kernels as one, under all that the network and policy may do to them: bytes, notices and counters are equal.

Without the compiled kernel there is nothing to compare.
"""

from __future__ import annotations

from choices import Choices
from harness import MISSING, main, make_kernel

from sansio.entropy import SeededEntropy

# isort: split
from bad_input import Ordeal  # found where the harness looks

NEEDS = MISSING
MOST_STEPS = 256


def check(data: bytes) -> None:
    Ordeal(make_kernel(SeededEntropy(1)), Choices(data)).run(MOST_STEPS)


if __name__ == "__main__":
    if NEEDS:
        print(NEEDS)
    else:
        main(check)
