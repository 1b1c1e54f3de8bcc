"""Large worlds of simulated agents: every rule of dispatch holds, and how long a run takes.

    python bench/agents_world.py [--seeds 5] [--first 0] [--workers 2000] [--rooms 5000] [--seconds 180]

Each seed is run once, in virtual time; a rule that is broken ends the program and names the seed.
"""

from __future__ import annotations

import argparse
import resource
import time

from sansio.sim import AgentsWorld


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seeds", 5), ("first", 0), ("workers", 2000), ("rooms", 5000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=180.0)
    options = parser.parse_args()
    for seed in range(options.first, options.first + options.seeds):
        print(f"seed {seed}:", end=" ", flush=True)
        begin = time.process_time()
        world = AgentsWorld(seed, workers=options.workers, rooms=options.rooms, seconds=options.seconds)
        outcome = world.run()
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{time.process_time() - begin:.1f} s of CPU, {memory_mb:.0f} MB, {outcome}", flush=True)


if __name__ == "__main__":
    main()
