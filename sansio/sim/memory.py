"""What a simulated client remembers of its own requests for a resume: the server may have lost or never had them."""

from __future__ import annotations

from ..wire import rtc

_NOT_KEPT = ("offer", "answer", "trickle", "ping", "ping_req")
"""What a client does not send later: it is made anew after a resume, or means nothing any more."""


class Memory:
    """Subscriptions, permissions, and requests that wait for the next session."""

    __slots__ = ("_permission", "_unsubscribed", "_waiting")

    def __init__(self) -> None:
        self._unsubscribed: dict[str, None] = {}
        self._permission: rtc.SubscriptionPermission | None = None
        self._waiting: list[rtc.SignalRequest] = []

    def note(self, request: rtc.SignalRequest) -> None:
        """A request that is made."""
        match request.WhichOneof("message"):
            case "subscription":
                for sid in request.subscription.track_sids:
                    self._unsubscribed.pop(sid, None)
                    if not request.subscription.subscribe:
                        self._unsubscribed[sid] = None
            case "subscription_permission":
                self._permission = request.subscription_permission
            case _:
                pass

    def keep(self, request: rtc.SignalRequest) -> None:
        """A request that cannot be sent now; it waits if it makes sense later."""
        if request.WhichOneof("message") not in _NOT_KEPT:
            self._waiting.append(request)

    def drop_waiting(self) -> None:
        """A session of its own begins, which says everything anew."""
        self._waiting.clear()

    def take_requests(self) -> list[rtc.SignalRequest]:
        """What is to be said once more after a resume, and what waited for it."""
        waiting, self._waiting = self._waiting, []
        if self._permission is not None:
            waiting.insert(0, rtc.SignalRequest(subscription_permission=self._permission))
        return waiting

    def wishes(self, *, auto_subscribe: bool) -> rtc.UpdateSubscription:
        """For the sync state: what differs from the default."""
        sids = list(self._unsubscribed) if auto_subscribe else []
        return rtc.UpdateSubscription(track_sids=sids, subscribe=not auto_subscribe)
