"""The scenario that must hold for every seed: on a bad network people come, talk, show themselves, write, and go."""

from __future__ import annotations

from typing import NamedTuple

from kernels import has_native, nodes_on

from sansio.entropy import SeededEntropy, random_below, random_unit
from sansio.sim import Link, Participant, PublishedTrack, World

BAD = Link(latency=0.050, jitter=0.010, loss=0.02, reorder=0.02, reorder_delay=0.020)
NAMES = ("alice", "bob", "carol", "dave")
MAX_START_S = 3.0
"""From the second of two joins to the first frame from one to the other; some messages are lost on the way."""


class Outcome(NamedTuple):
    digest: str
    lasted: float
    messages: int
    video: int
    audio: int


class Call:
    """One room over its life. What each participant must have seen is noted while it happens."""

    def __init__(self, seed: int, link: Link = BAD) -> None:
        self.world = World(seed=seed, link=link)
        self.world.add_node("n1")
        self.choice = SeededEntropy(f"scenario {seed}")
        self.here: list[Participant] = []
        self.gone: list[Participant] = []
        self.tracks: dict[Participant, list[PublishedTrack]] = {}
        self.entered: dict[str, float] = {}
        self.sent: dict[tuple[str, str], list[bytes]] = {}
        """Reliable payloads by sender and receiver."""

    def run(self) -> Outcome:
        for name in NAMES[:2]:
            self.enter(name)
        self.settle()
        for step in range(4):
            self.talk(step)
            self.change(step)
            self.world.run(0.4 + 0.6 * random_unit(self.choice))
        self.settle()
        self.finish()
        return self.check()

    def enter(self, name: str) -> None:
        one = self.world.join("room", name, single=random_below(self.choice, 2) == 1)
        self.here.append(one)
        self.entered[name] = self.world.now
        self.tracks[one] = [one.publish_audio()]
        if name == NAMES[0] or random_unit(self.choice) < 0.75:
            self.tracks[one].append(one.publish_video(fps=15.0, simulcast=random_unit(self.choice) < 0.5))

    def leave(self, one: Participant) -> None:
        """Go properly: nobody is in the middle of a word."""
        self.stop(one)
        self.world.run(1.0)
        one.leave()
        self.here.remove(one)
        self.gone.append(one)

    def change(self, step: int) -> None:
        """Somebody comes or goes."""
        newcomer = next(name for name in (*NAMES, "erin", "frank") if name not in {p.identity for p in self.everybody})
        if step in (0, 2):
            self.enter(newcomer)
        elif step == 1 and len(self.here) > 2:
            self.settle()
            self.leave(self.here[random_below(self.choice, len(self.here))])

    def talk(self, step: int) -> None:
        """Everybody that is settled writes to everybody that is settled."""
        settled = [one for one in self.here if one.is_connected]
        for one in settled:
            for number in range(5):
                payload = f"{one.identity} {step}.{number} ".encode() + bytes(random_below(self.choice, 3000))
                to = [other.identity for other in settled if other is not one]
                if to:
                    one.send(payload, topic="chat", to=to)
                for identity in to:
                    self.sent.setdefault((one.identity, identity), []).append(payload)

    def settle(self) -> None:
        """Wait until everybody gets everything of everybody."""
        self.world.run_until(self.is_settled, deadline=15.0)

    def is_settled(self) -> bool:
        return all(one.is_connected for one in self.here) and all(
            len(one.sinks(other)) >= len(self.tracks[other]) and all(sink.frames for sink in one.sinks(other))
            for one in self.here
            for other in self.here
            if one is not other
        )

    def stop(self, one: Participant) -> None:
        """Let the tracks of one come to their end, so that all of them can be counted."""
        for track in self.tracks[one]:
            track.finish()

    def finish(self) -> None:
        for one in self.here:
            self.stop(one)
        self.world.run_until(self.is_complete, deadline=10.0)

    def is_complete(self) -> bool:
        return all(not self.lacking(one) for one in self.here)

    def lacking(self, one: Participant) -> list[str]:
        """What one of those who stayed has not got."""
        lacks = []
        for other in self.here:
            if other is not one:
                for track in self.tracks[other]:
                    sink = next((sink for sink in one.sinks(other) if sink.sid == track.sid), None)
                    if sink is None or sink.last_frame + 1 < track.frame_count:
                        lacks.append(f"frames of {track.sid} of {other.identity}")
        for other in self.everybody:
            expected = self.sent.get((other.identity, one.identity), [])
            if one.payloads("chat", sender=other.identity) != expected:
                lacks.append(f"data of {other.identity}")
        return lacks

    @property
    def everybody(self) -> list[Participant]:
        return self.here + self.gone

    def check(self) -> Outcome:
        where = f"seed {self.world.seed}"
        for one in self.here:
            assert not self.lacking(one), where
            assert one.times_connected in (1, 2), where
            assert sorted(one.others) == sorted(other.identity for other in self.here if other is not one), where
        for one in self.everybody:
            for sink in one.sinks():
                waited = sink.first_at - max(self.entered[one.identity], self.entered[sink.identity])
                assert waited <= MAX_START_S, f"{where}: {one.identity} waited {waited} s for {sink.identity}"
                assert sink.is_whole, f"{where}: {one.identity} got {sink.identity}'s {sink.kind}: {sink.faults}"
        sinks = [sink for one in self.everybody for sink in one.sinks()]
        return Outcome(
            digest=self.world.digest(),
            lasted=self.world.now,
            messages=sum(len(one.messages) for one in self.everybody),
            video=sum(sink.frames for sink in sinks if sink.kind == "video"),
            audio=sum(sink.frames for sink in sinks if sink.kind == "audio"),
        )


def complaint(seed: int) -> str:
    """What is wrong with a seed; nothing if all is well. The second run is on the compiled kernel where there is one."""
    try:
        with nodes_on("pure"):
            first = Call(seed).run()
        with nodes_on("native" if has_native() else "pure"):
            second = Call(seed).run()
    except AssertionError as failed:
        return str(failed) or f"seed {seed} fails"
    if first != second:
        return f"seed {seed} is not repeated" + " by the compiled kernel" * has_native()
    return "" if first.messages and first.audio and first.video else f"seed {seed}: nothing was said or shown"
