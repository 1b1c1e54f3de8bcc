from __future__ import annotations

from sansio.stun import Transaction


def transmissions(rto: float, max_rto: float, count: int) -> list[float]:
    """When copies go out, and at the end when the request has failed."""
    transaction = Transaction(0.0, b"id", b"data", rto=rto, max_rto=max_rto, max_transmissions=count)
    times = [0.0, transaction.deadline]
    while transaction.handle_timeout(transaction.deadline):
        assert transaction.sent_at == times[-1]
        times.append(transaction.deadline)
    assert transaction.transmissions == count
    return times


def test_rfc_8489_example_doubles_the_wait() -> None:
    assert transmissions(0.5, 60.0, 7)[:-1] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def test_the_wait_is_capped() -> None:
    assert transmissions(0.25, 1.0, 6) == [0, 0.25, 0.75, 1.75, 2.75, 3.75, 4.75]


def test_one_transmission_is_never_repeated() -> None:
    assert transmissions(0.5, 1.0, 1) == [0, 0.5]


def test_an_early_copy_counts_and_restarts_the_wait() -> None:
    transaction = Transaction(0.0, b"id", b"data", rto=0.5, max_rto=2.0, max_transmissions=3)
    transaction.resent(0.2)
    assert (transaction.deadline, transaction.transmissions, transaction.remaining) == (0.7, 2, 1)
    assert transaction.handle_timeout(0.7)
    assert not transaction.handle_timeout(transaction.deadline)
