"""What publishers are told to send, and when."""

from __future__ import annotations

from sansio.sfu import Dynacast, QualitiesChanged, Quality
from sansio.sfu.dynacast import FIRST_EVALUATION, NUDGE_AFTER, NUDGE_DURATION, PAUSE_DELAY

LOW, MEDIUM, HIGH, OFF = Quality
NONE, ONE, TWO, THREE = (False, False, False), (True, False, False), (True, True, False), (True, True, True)


def told(dynacast: Dynacast[str]) -> list[tuple[tuple[bool, bool, bool], ...]]:
    return [tuple(flags for _, flags in event.codecs) for event in dynacast.poll_events()]


def at_deadline(dynacast: Dynacast[str]) -> float:
    due = dynacast.poll_timeout()
    assert due is not None
    dynacast.handle_timeout(due)
    return due


def watched(codec: str = "video/VP8") -> Dynacast[str]:
    dynacast: Dynacast[str] = Dynacast(0.0, (codec,))
    dynacast.set_subscriber(1.0, "bob", codec, HIGH)
    assert dynacast.poll_events() == [QualitiesChanged(((codec, THREE),))]
    return dynacast


def test_the_first_need_is_told_at_once() -> None:
    watched()


def test_a_raise_is_told_at_once_and_only_once() -> None:
    dynacast: Dynacast[str] = Dynacast(0.0, ("video/VP8",))
    dynacast.set_subscriber(1.0, "bob", "video/VP8", LOW)
    dynacast.set_subscriber(1.1, "carol", "video/VP8", MEDIUM)
    dynacast.set_subscriber(1.2, "dave", "video/VP8", MEDIUM)
    dynacast.set_subscriber(1.3, "dave", "video/VP8", MEDIUM)
    assert told(dynacast) == [(ONE,), (TWO,)]


def test_a_fall_waits() -> None:
    dynacast = watched()
    dynacast.set_subscriber(2.0, "bob", "video/VP8", LOW)
    assert told(dynacast) == []
    assert at_deadline(dynacast) == 2.0 + PAUSE_DELAY
    assert told(dynacast) == [(ONE,)]


def test_a_fall_taken_back_is_never_told() -> None:
    dynacast = watched()
    dynacast.set_subscriber(2.0, "bob", "video/VP8", None)
    dynacast.set_subscriber(4.0, "carol", "video/VP8", HIGH)
    assert at_deadline(dynacast) == FIRST_EVALUATION
    assert told(dynacast) == []
    assert dynacast.poll_timeout() is None


def test_what_nobody_watches_is_switched_off_after_a_while() -> None:
    dynacast: Dynacast[str] = Dynacast(0.0, ("video/VP8",))
    assert at_deadline(dynacast) == FIRST_EVALUATION
    assert told(dynacast) == [(NONE,)]


def test_the_last_subscriber_leaving_switches_off() -> None:
    dynacast = watched()
    dynacast.handle_timeout(10.0)
    dynacast.remove_subscriber(20.0, "carol")
    dynacast.remove_subscriber(20.0, "bob")
    dynacast.remove_subscriber(20.0, "bob")
    dynacast.handle_timeout(20.1)
    assert told(dynacast) == []
    dynacast.handle_timeout(25.0)
    assert told(dynacast) == [(NONE,)]


def test_a_raise_does_not_hasten_the_fall_of_another_codec() -> None:
    dynacast = watched("video/AV1")
    dynacast.add_codec("video/VP8")
    assert told(dynacast) == [(THREE, NONE)]
    dynacast.set_subscriber(2.0, "bob", "video/AV1", OFF)
    dynacast.set_subscriber(2.0, "bob", "video/VP8", MEDIUM)
    assert told(dynacast) == [(THREE, TWO)]
    assert at_deadline(dynacast) == 2.0 + PAUSE_DELAY
    assert told(dynacast) == [(NONE, TWO)]
    assert dynacast.codecs == ("video/AV1", "video/VP8")
    assert dynacast.max_quality("video/VP8") is MEDIUM
    assert dynacast.max_quality("video/H264") is OFF


def test_a_subscriber_needs_one_codec_at_a_time() -> None:
    dynacast = watched()
    dynacast.set_subscriber(2.0, "bob", "video/H264", MEDIUM)
    assert told(dynacast) == [(THREE, TWO)]
    assert at_deadline(dynacast) == 2.0 + PAUSE_DELAY
    assert told(dynacast) == [(NONE, TWO)]


def test_the_fall_of_a_codec_that_was_given_up_can_be_told_at_once() -> None:
    dynacast = watched()
    dynacast.settle()
    assert told(dynacast) == []
    dynacast.set_subscriber(2.0, "bob", "video/H264", HIGH)
    told(dynacast)
    dynacast.settle()
    dynacast.settle()
    assert told(dynacast) == [(NONE, THREE)]
    assert dynacast.poll_timeout() == FIRST_EVALUATION


def test_nothing_is_settled_before_anything_was_told() -> None:
    dynacast: Dynacast[str] = Dynacast(0.0, ("video/VP8",))
    dynacast.settle()
    assert told(dynacast) == []


def test_a_renamed_codec_keeps_its_needs_and_its_place() -> None:
    dynacast = watched("video/vp9")
    dynacast.set_subscriber(2.0, "carol", "video/h264", LOW)
    told(dynacast)
    dynacast.note_levels(2.0, "video/vp9", 1, 3)
    dynacast.rename_codec("video/vp9", "video/av1")
    assert dynacast.poll_events() == [QualitiesChanged((("video/av1", THREE), ("video/h264", ONE)))]
    dynacast.handle_timeout(2.0 + NUDGE_AFTER[0])
    assert dynacast.poll_events() == [QualitiesChanged((("video/av1", ONE), ("video/h264", ONE)))]
    dynacast.remove_subscriber(3.0, "bob")
    assert dynacast.max_quality("video/av1") is OFF


def test_a_codec_renamed_to_one_that_is_there_takes_over_its_needs() -> None:
    dynacast = watched("video/vp9")
    dynacast.set_subscriber(2.0, "carol", "video/h264", MEDIUM)
    told(dynacast)
    dynacast.rename_codec("video/vp9", "video/h264")
    assert dynacast.poll_events() == [QualitiesChanged((("video/h264", THREE),))]


def test_a_rename_is_not_told_before_anything_was() -> None:
    dynacast: Dynacast[str] = Dynacast(0.0, ("video/vp9",))
    dynacast.rename_codec("video/vp9", "video/av1")
    dynacast.rename_codec("video/vp9", "video/h264")
    dynacast.rename_codec("video/av1", "video/av1")
    assert dynacast.codecs == ("video/av1",)
    assert told(dynacast) == []


def test_a_muted_publisher_hears_nothing_and_then_everything() -> None:
    dynacast: Dynacast[str] = Dynacast(0.0, ("video/VP8",))
    dynacast.set_muted(True)
    dynacast.set_subscriber(1.0, "bob", "video/VP8", LOW)
    assert told(dynacast) == []
    dynacast.set_muted(False)
    assert told(dynacast) == [(ONE,)]
    dynacast.set_muted(False)
    assert told(dynacast) == []


def test_a_publisher_that_resumed_hears_everything_again() -> None:
    dynacast = watched()
    dynacast.handle_timeout(10.0)
    dynacast.restart(30.0)
    assert told(dynacast) == [(THREE,)]
    assert dynacast.poll_timeout() == 30.0 + FIRST_EVALUATION


VP8 = "video/VP8"


def test_a_watched_layer_that_does_not_come_is_switched_off_and_on_twice() -> None:
    dynacast = watched()
    dynacast.note_levels(2.0, "video/vp8", 1, 3)
    dynacast.note_levels(2.1, VP8, 2, 3)
    first = 2.0 + NUDGE_AFTER[0]
    second = first + NUDGE_AFTER[1]
    assert [at_deadline(dynacast) for _ in range(4)] == [first, first + NUDGE_DURATION, second, second + NUDGE_DURATION]
    assert told(dynacast) == [(TWO,), (THREE,), (TWO,), (THREE,)]
    dynacast.note_levels(8.0, VP8, 2, 3)
    assert at_deadline(dynacast) == FIRST_EVALUATION
    assert told(dynacast) == []


def test_no_nudge_when_all_has_come() -> None:
    dynacast = watched()
    dynacast.note_levels(2.0, VP8, 2, 3)
    dynacast.note_levels(2.2, VP8, 3, 3)
    dynacast.handle_timeout(9.0)
    assert told(dynacast) == []
    assert dynacast.poll_timeout() == FIRST_EVALUATION


def test_no_nudge_for_a_layer_that_nobody_watches() -> None:
    dynacast: Dynacast[str] = Dynacast(0.0, (VP8,))
    dynacast.set_subscriber(1.0, "bob", VP8, MEDIUM)
    dynacast.note_levels(2.0, VP8, 2, 3)
    dynacast.handle_timeout(9.0)
    assert told(dynacast) == [(TWO,)]


def test_no_nudge_while_muted() -> None:
    dynacast = watched()
    dynacast.note_levels(2.0, VP8, 2, 3)
    dynacast.set_muted(True)
    dynacast.handle_timeout(9.0)
    dynacast.set_muted(False)
    assert told(dynacast) == [(THREE,)]


def test_a_fall_that_is_due_at_the_end_of_a_nudge_is_told() -> None:
    dynacast = watched()
    dynacast.note_levels(2.0, VP8, 1, 3)
    dynacast.handle_timeout(2.0 + NUDGE_AFTER[0])
    dynacast.set_subscriber(3.2, "bob", VP8, MEDIUM)
    assert at_deadline(dynacast) == 2.0 + NUDGE_AFTER[0] + NUDGE_DURATION
    assert told(dynacast) == [(ONE,), (THREE,)]
    dynacast.note_levels(3.5, VP8, 3, 3)
    dynacast.handle_timeout(3.2 + PAUSE_DELAY)
    assert told(dynacast) == [(TWO,)]


def test_a_fall_and_the_end_of_a_nudge_at_once() -> None:
    dynacast = watched()
    dynacast.set_subscriber(1.0, "bob", VP8, MEDIUM)
    dynacast.note_levels(2.0, VP8, 1, 3)
    dynacast.handle_timeout(5.95)
    dynacast.handle_timeout(6.1)
    assert told(dynacast) == [(ONE,), (TWO,)]
