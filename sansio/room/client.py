"""What a client is and what follows from it: protocol gates and the quirks of particular SDKs and browsers.

Gates are LiveKit's (a feature is on when the client's protocol is *greater* than the number); quirks are those that its
server knows. All of it is data here, so that no other module asks for a browser's name.
"""

from __future__ import annotations

from ..wire import models

SDK = models.ClientInfo.SDK


class ClientTraits:
    """Answers about one client, computed from its `ClientInfo`."""

    __slots__ = ("_browser", "_os", "_sdk", "info", "protocol")

    def __init__(self, info: models.ClientInfo) -> None:
        self.info = info
        self.protocol = info.protocol
        self._browser = info.browser.lower()
        self._os = info.os.lower()
        self._sdk = info.sdk

    # Protocol gates

    @property
    def wants_track_unpublished(self) -> bool:
        return self.protocol > 6

    @property
    def wants_disconnected_on_resume(self) -> bool:
        return self.protocol > 8

    @property
    def knows_quality_lost(self) -> bool:
        return self.protocol > 10

    @property
    def replaces_by_identity(self) -> bool:
        """Synthesizes the leave of an identity's old sid when a new one appears."""
        return self.protocol > 11

    @property
    def knows_request_ok(self) -> bool:
        """Understands a `request_response` that is no error."""
        return self.protocol > 14

    @property
    def takes_request_response(self) -> bool:
        return self._sdk != SDK.Value("RUST") or self.protocol >= 10

    @property
    def subscriber_primary(self) -> bool:
        return self.protocol > 2

    @property
    def syncs_streams(self) -> bool:
        """Takes tracks of one publisher that share a stream id; Firefox does not group them."""
        return self.protocol > 9 and not self.is_firefox

    # Quirks

    @property
    def is_firefox(self) -> bool:
        return self._browser == "firefox"

    @property
    def is_safari(self) -> bool:
        return self._browser == "safari"

    @property
    def allows_ice_lite(self) -> bool:
        return self.protocol > 5 and not self.is_firefox

    @property
    def reuses_transceivers(self) -> bool:
        return self.protocol > 3 and not self.is_safari

    @property
    def is_go(self) -> bool:
        return self._sdk == SDK.Value("GO")

    @property
    def takes_red(self) -> bool:
        return not (self.is_firefox or self.is_safari)

    @property
    def takes_trailers(self) -> bool:
        """Knows what other clients put behind encoded frames."""
        return models.ClientInfo.Capability.CAP_PACKET_TRAILER in self.info.capabilities

    @property
    def only_preferred_codec(self) -> bool:
        """Ignores the order of codecs in an answer, so that it must list the wanted one alone."""
        return self.is_firefox and self._os in ("linux", "android")

    @property
    def has_reconnect_message(self) -> bool:
        """JS before 1.6.3 gets no `reconnect` message on a resume."""
        return not (self._sdk == SDK.Value("JS") and () < self._version() < (1, 6, 3))

    @property
    def announces_at_first_packet(self) -> bool:
        """Publishes video whose codec is only known from its first packet."""
        return self.is_go

    def disabled_codecs(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Mime types that this client should not use at all, and those it should not publish."""
        if self.is_safari:
            publish = ("video/VP9",) if self._browser_version() > (18, 3) else ()
            return ("video/AV1",), publish
        if self.only_preferred_codec or self.info.device_model == "Xiaomi 2201117TI":
            return (), ("video/H264",)
        return (), ()

    def _version(self) -> tuple[int, ...]:
        return _numbers(self.info.version)

    def _browser_version(self) -> tuple[int, ...]:
        return _numbers(self.info.browser_version)


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split(".")[:3]:
        digits = part[: next((i for i, c in enumerate(part) if not c.isdecimal()), len(part))]
        if not digits:
            break
        parts.append(int(digits[:6]))
    return tuple(parts)
