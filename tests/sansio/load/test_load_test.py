"""Whole load tests against a node, in virtual time."""

from __future__ import annotations

import attrs
import pytest
from load_world import SERVER, LoadWorld, seats

from sansio.load import LoadOptions, Phase
from sansio.wire import models, rtc

SHORT = LoadOptions(duration=4.0, bitrate_bps=400_000, fps=10)
PER_SECOND = 10 * 5 + 50  # video of 5 packets in the top layer, audio


def test_everybody_joins_and_what_was_sent_is_measured() -> None:
    world = LoadWorld(seats(1, 2, 3), SHORT)
    world.start()
    world.run()
    figures = world.test.figures(world.now)
    assert (figures.phase, figures.publishers, figures.subscribers) == ("measuring", 1, 5)
    assert figures.seconds == pytest.approx(4.0)
    assert (figures.refused, figures.dropped, figures.loss) == ({}, {}, 0.0)
    assert figures.received["audio"].packets == pytest.approx(5 * 4 * 50, abs=10)
    assert figures.received["video"].packets == pytest.approx(5 * 4 * 50, abs=60)
    assert figures.received["video"].streams == 5
    assert figures.forwarded == sum(flow.packets for flow in figures.received.values())
    assert world.open == set()


def test_latency_is_the_way_from_publisher_to_listener() -> None:
    world = LoadWorld(seats(1, 1, 0), SHORT, latency=0.025)
    world.start()
    world.run()
    for kind in ("audio", "video"):
        quantiles = world.test.figures(world.now).latency[kind]
        assert quantiles.count > 100
        assert 0.0495 < quantiles.p50 < 0.0505
        assert quantiles.max < 0.06


def test_counters_measure_no_latency() -> None:
    world = LoadWorld(seats(1, 0, 2), attrs.evolve(SHORT, data=True))
    world.start()
    world.run()
    figures = world.test.figures(world.now)
    assert figures.latency == {}
    assert figures.received["data"].packets > 50
    assert figures.received["audio"].packets > 300


@pytest.mark.parametrize(("listeners", "counters"), [(1, 0), (0, 1)], ids=["listener", "counter"])
def test_what_the_wire_loses_is_a_loss(listeners: int, counters: int) -> None:
    world = LoadWorld(seats(1, listeners, counters), SHORT, loses=lambda number: number > 60 and number % 20 == 0)
    world.start()
    world.run()
    assert 0.02 < world.test.figures(world.now).loss < 0.10


def test_data_is_counted_and_timed() -> None:
    world = LoadWorld(seats(1, 1, 1), LoadOptions(audio=False, video=False, data=True, duration=5.0))
    world.start()
    world.run()
    figures = world.test.figures(world.now)
    assert figures.received["data"].packets == pytest.approx(2 * 5 * 10, abs=4)
    assert figures.received["data"].lost == 0
    assert 0.0395 < figures.latency["data"].p50 < 0.0410


def test_two_connections_work_as_well() -> None:
    world = LoadWorld(seats(1, 1, 1), LoadOptions(duration=2.0, two_connections=True, audio=True, video=False))
    world.start()
    world.run()
    figures = world.test.figures(world.now)
    assert figures.received["audio"].packets == pytest.approx(2 * 2 * 50, abs=4)


def test_join_times_are_those_of_the_wire() -> None:
    world = LoadWorld(seats(1, 0, 3), SHORT, latency=0.050)
    world.start()
    world.run()
    figures = world.test.figures(world.now)
    assert figures.joined.count == figures.connected.count == 4
    assert figures.joined.p50 == pytest.approx(0.1, rel=0.02)
    assert figures.joined.p50 < figures.connected.p50 <= figures.first_media.max


def test_joins_keep_to_the_rate() -> None:
    world = LoadWorld(seats(1, 0, 20), LoadOptions(joins_per_second=4.0, duration=60.0))
    world.start()
    world.run(2.6)
    assert world.test.figures(world.now).connected.count <= 11
    world.run(5.0)
    assert world.test.figures(world.now).subscribers == 20


def test_only_so_many_join_at_a_time() -> None:
    world = LoadWorld(seats(1, 0, 20), LoadOptions(joins_per_second=1000.0, most_joining=3), latency=0.1)
    world.start()
    most = 0
    while world.test.phase is Phase.JOINING:
        world.run(0.05)
        most = max(most, world.test.figures(world.now).joining)
    assert most == 3


def test_a_refusal_says_why_and_counts() -> None:
    good, bad = seats(1, 0, 1), seats(0, 0, 3, secret="another-secret-of-32-characters!")[1:]
    world = LoadWorld([*bad, *good], SHORT)
    world.start()
    world.run()
    figures = world.test.figures(world.now)
    assert list(figures.refused.values()) == [2]
    assert next(iter(figures.refused)).endswith("(401)")
    assert (figures.publishers, figures.subscribers) == (1, 1)


def test_it_is_over_at_once_if_nobody_can_join() -> None:
    world = LoadWorld(seats(1, 0, 2, secret="another-secret-of-32-characters!"), SHORT)
    world.start()
    world.run(5.0)
    assert world.test.phase is Phase.OVER
    assert sum(world.test.figures(world.now).refused.values()) == 3


def test_without_an_answer_a_join_is_given_up() -> None:
    world = LoadWorld(seats(1, 0, 0), SHORT)
    world.test.start(world.now)
    assert len(world.test.poll_commands()) == 1
    world.run(20.0)
    assert world.test.figures(world.now).refused == {"not connected in time": 1}


def test_stopping_keeps_what_was_measured_so_far() -> None:
    world = LoadWorld(seats(1, 1, 1), LoadOptions(duration=60.0, video=False))
    world.start()
    world.run(6.0)
    world.test.stop(world.now)
    world.flush()
    then = world.test.figures(world.now)
    world.run(5.0)
    assert world.test.figures(world.now) == then
    assert then.received["audio"].packets > 200
    assert (then.dropped, world.open) == ({}, set())
    world.test.stop(world.now)
    assert world.test.poll_commands() == []


def test_a_participant_whose_socket_goes_is_dropped() -> None:
    world = LoadWorld(seats(1, 0, 2), LoadOptions(duration=60.0))
    world.start()
    world.run(4.0)
    world.test.handle_socket_closed(world.now, 0)
    figures = world.test.figures(world.now)
    assert (figures.subscribers, figures.dropped) == (1, {"connection lost": 1})


def test_who_counts_has_settled_once_media_has_come() -> None:
    world = LoadWorld(seats(1, 1, 1), LoadOptions(duration=60.0))
    world.start()
    assert not any(world.test.has_settled(seat) for seat in range(3))
    world.run(5.0)
    assert [world.test.has_settled(seat) for seat in range(3)] == [False, True, False]  # listener, counter, publisher
    world.test.handle_socket_closed(world.now, 1)
    assert not world.test.has_settled(1)


def test_without_media_nobody_settles() -> None:
    world = LoadWorld(seats(0, 0, 2), LoadOptions(duration=60.0))
    world.start()
    world.run(5.0)
    assert world.test.figures(world.now).subscribers == 2
    assert not any(world.test.has_settled(seat) for seat in range(2))


@pytest.mark.parametrize(
    "message",
    [
        rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[models.ParticipantInfo(sid="PA_1")])),
        rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=[models.SpeakerInfo(sid="PA_1")])),
        rtc.SignalResponse(connection_quality=rtc.ConnectionQualityUpdate()),
    ],
    ids=["update", "speakers", "quality"],
)
def test_what_is_told_of_others_is_not_read(message: rtc.SignalResponse) -> None:
    world = LoadWorld(seats(1, 1, 1), LoadOptions(duration=60.0))
    world.start()
    world.run(5.0)
    client = world.test._participants[0].client
    client.view.participants.clear()
    world.test.handle_frame(world.now, 0, message.SerializeToString())
    assert (client.view.participants, client.view.speakers) == ({}, {})
    assert world.test.poll_commands() == []


def test_media_and_reports_leave_nothing_to_drain_for_who_counts() -> None:
    world = LoadWorld(seats(1, 0, 1), LoadOptions(duration=60.0))
    world.start()
    world.run(5.0)
    path = ("10.0.0.0", 40_000), SERVER
    media, report, other = (*path, b"\x80\x6f" + bytes(98)), (*path, b"\x80\xc8" + bytes(30)), (*path, bytes(30))
    assert not world.test.handle_datagrams(world.now, 0, [media, report])
    assert world.test.handle_datagrams(world.now, 0, [media, other])
