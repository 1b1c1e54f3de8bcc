"""Active speakers."""

from __future__ import annotations

import pytest

from sansio.config import AudioConfig
from sansio.kernel import AudioLevel
from sansio.sfu import ActiveSpeakers, SpeakerChange

SILENT = AudioLevel(400.0, 0.0, 127)
NOTHING = AudioLevel(0.0, 0.0, 127)


def talk(loudest: int, active_ms: float = 400.0) -> AudioLevel:
    return AudioLevel(400.0, active_ms, loudest)


class Room:
    def __init__(self) -> None:
        self.now = 0.0
        self.speakers: ActiveSpeakers[str] = ActiveSpeakers(AudioConfig())

    def tick(self, **levels: AudioLevel) -> list[tuple[str, float, bool]]:
        self.now += 0.4
        for participant, level in levels.items():
            self.speakers.observe(self.now, participant, level)
        return [(one.participant, one.level, one.active) for one in self.speakers.changes()]


def test_a_talker_is_told_once_per_step() -> None:
    room = Room()
    assert room.tick(alice=talk(20)) == [("alice", 0.125, True)]
    assert room.tick(alice=talk(20)) == []
    assert room.tick(alice=talk(6)) == [("alice", 0.375, True)]
    assert room.tick(alice=talk(6)) == [("alice", 0.5, True)]


def test_one_who_stops_is_told_and_forgotten() -> None:
    room = Room()
    room.tick(alice=talk(20))
    assert room.tick(alice=SILENT) == [("alice", 0.0, False)]
    assert room.tick(alice=SILENT) == []
    assert room.speakers.speakers == []


@pytest.mark.parametrize(
    ("level", "active"),
    [
        pytest.param(talk(20, 160.0), True, id="enough of the window"),
        pytest.param(talk(20, 158.0), False, id="too little of the window"),
        pytest.param(talk(34), False, id="quiet, before smoothing has caught up"),
        pytest.param(talk(25), True, id="loud enough at once"),
        pytest.param(talk(0), True, id="loudest"),
    ],
)
def test_what_counts_as_speech(level: AudioLevel, active: bool) -> None:
    assert bool(Room().tick(alice=level)) == active


def test_a_quiet_talker_is_active_once_smoothing_has_caught_up() -> None:
    room = Room()
    assert [bool(room.tick(alice=talk(33))) for _ in range(4)] == [False, True, False, False]


def test_speakers_are_sorted_by_loudness() -> None:
    room = Room()
    changes = room.tick(alice=talk(30), bob=talk(0), carol=talk(15))
    assert [name for name, _, _ in changes] == ["bob", "carol", "alice"]
    assert room.speakers.speakers[0] == SpeakerChange("bob", 0.75, True)


def test_the_loudest_track_of_a_participant_counts() -> None:
    room = Room()
    room.speakers.observe(0.4, "alice", talk(20))
    room.speakers.observe(0.4, "alice", talk(0))
    room.speakers.observe(0.4, "alice", SILENT)
    assert [change.level for change in room.speakers.changes(0.4)] == [0.75]


def test_two_windows_without_a_packet_are_silence() -> None:
    room = Room()
    room.tick(alice=talk(10))
    assert room.tick(alice=NOTHING) == []
    assert room.tick(alice=NOTHING) == [("alice", 0.0, False)]


def test_sparse_packets_are_collected() -> None:
    room = Room()
    room.tick(alice=talk(10))
    assert room.tick(alice=AudioLevel(100.0, 100.0, 10)) == []
    assert room.tick(alice=AudioLevel(100.0, 100.0, 10)) == [("alice", 0.375, True)]


def test_a_mute_silences_at_the_next_tick() -> None:
    room = Room()
    room.tick(alice=talk(10))
    room.speakers.mute("alice")
    room.speakers.mute("nobody")
    assert room.tick() == [("alice", 0.0, False)]


def test_one_who_left_is_not_told() -> None:
    room = Room()
    room.tick(alice=talk(10))
    room.speakers.remove("alice")
    assert room.tick() == []
