"""Text to `Description`: a table of attribute handlers over a mutable draft of each section.

Lenient where browsers are (unknown attributes, missing `t=`), strict where a mistake would change what is negotiated
(m-lines, origin). An attribute that is known but malformed is passed over, unless its loss would be taken for something
else: numbers of ports and payload types are errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from .grammar import DEFAULT_LIMIT_CHARACTERS, MAX_SECTIONS, SdpError, parse_number, split_attribute, split_lines
from .session import Description, Direction, ExtMap, Format, MediaSection, Rid, SsrcInfo, is_rtp_protocol

MAX_FEEDBACK_PER_FORMAT = 32
"""libwebrtc offers five; bounds what a wildcard line can multiply."""
MAX_UINT32 = 0xFFFFFFFF
MAX_UINT64 = 0xFFFFFFFFFFFFFFFF

DIRECTIONS = {direction.value: direction for direction in Direction}
STATIC_AUDIO_FORMATS = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000), 13: ("CN", 8000)}
"""Payload types that need no rtpmap (RFC 3551 §6), as far as browsers offer them."""


def parse(text: str, *, limit_characters: int = DEFAULT_LIMIT_CHARACTERS) -> Description:
    """Read a session description. Raises SdpError, and nothing else, for any text."""
    draft = _SessionDraft()
    level: _SessionDraft | _MediaDraft = draft
    for letter, value in split_lines(text, limit_characters):
        if letter == "m":
            level = _MediaDraft.of(value)
            draft.media.append(level)
        elif letter == "a":
            level.add(*split_attribute(value))
        elif level is draft and letter in "vos":
            draft.add_line(letter, value)
    if len(draft.media) > MAX_SECTIONS:
        raise SdpError(f"{len(draft.media)} sections, limit {MAX_SECTIONS}")
    return draft.finish()


class _Draft:
    """Attributes that may stand at either level."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.fingerprints: list[tuple[str, str]] = []

    def add(self, name: str, value: str) -> None:
        if name in ("ice-ufrag", "ice-pwd") and value and len(value) <= 256 and not _has_space(value):
            self.fields[name.replace("-", "_")] = value
        elif name == "ice-options":
            self.fields["ice_options"] = tuple(value.split())
        elif name == "fingerprint":
            words = value.split()
            if len(words) == 2:
                self.fingerprints.append((words[0].lower(), words[1].upper()))
        elif name == "setup" and value in ("active", "passive", "actpass", "holdconn"):
            self.fields["setup"] = value
        elif name == "extmap-allow-mixed":
            self.fields["extmap_allow_mixed"] = True


class _SessionDraft(_Draft):
    def __init__(self) -> None:
        super().__init__()
        self.media: list[_MediaDraft] = []
        self.has_version = False
        self.direction = Direction.SENDRECV

    def add_line(self, letter: str, value: str) -> None:
        if letter == "v":
            if value.strip() != "0":
                raise SdpError(f"version {value[:20]!r}")
            self.has_version = True
        elif letter == "o":
            self._origin(value.split())
        else:
            self.fields["name"] = " ".join(value.split()) or "-"

    def _origin(self, words: list[str]) -> None:
        if len(words) != 6:
            raise SdpError("malformed origin")
        self.fields["username"] = words[0]
        self.fields["session_id"] = parse_number(words[1], maximum=MAX_UINT64)
        self.fields["session_version"] = parse_number(words[2], maximum=MAX_UINT64)
        self.fields["network"] = " ".join(words[3:])

    def add(self, name: str, value: str) -> None:
        if name == "group":
            words = value.split()
            if words[:1] == ["BUNDLE"] and "bundle" not in self.fields:
                self.fields["bundle"] = tuple(dict.fromkeys(words[1:]))
        elif name == "ice-lite":
            self.fields["ice_lite"] = True
        elif name == "msid-semantic":
            self.fields["msid_semantic"] = " ".join(value.split())
        elif name in DIRECTIONS:
            self.direction = DIRECTIONS[name]
        else:
            super().add(name, value)

    def finish(self) -> Description:
        if not self.has_version or "session_id" not in self.fields:
            raise SdpError("no version or no origin line")
        media = tuple(section.finish(self.direction) for section in self.media)
        return Description(fingerprints=tuple(self.fingerprints), media=media, **self.fields)


class _MediaDraft(_Draft):
    def __init__(self, kind: str, port: int, protocol: str, formats: list[str]) -> None:
        super().__init__()
        self.kind, self.port, self.protocol = kind, port, protocol
        self.formats: dict[int, Format] = {}
        self.other_formats: tuple[str, ...] = ()
        if is_rtp_protocol(protocol):
            self.formats = {number: _blank(kind, number) for number in _payload_types(formats)}
        else:
            self.other_formats = tuple(formats)
        self.feedback: dict[int, list[str]] = {}
        self.extensions: dict[int, ExtMap] = {}
        self.sources: dict[int, dict[str, str]] = {}
        self.groups: list[tuple[str, tuple[int, ...]]] = []
        self.rids: dict[str, Rid] = {}
        self.candidates: list[str] = []

    @classmethod
    def of(cls, value: str) -> _MediaDraft:
        words = value.split()
        if len(words) < 4:
            raise SdpError("malformed m-line")
        port = words[1].partition("/")[0]
        return cls(words[0], parse_number(port, maximum=65535), words[2], words[3:])

    def add(self, name: str, value: str) -> None:
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, value)
        elif name in DIRECTIONS:
            self.fields["direction"] = DIRECTIONS[name]
        elif name in _FLAGS:
            self.fields[_FLAGS[name]] = True
        else:
            super().add(name, value)

    def add_mid(self, value: str) -> None:
        if value and not _has_space(value):
            self.fields["mid"] = value

    def add_rtpmap(self, value: str) -> None:
        number, words = _numbered(value)
        parts = words[0].split("/") if words else []
        if number not in self.formats or len(parts) < 2 or not parts[0]:
            return
        self.formats[number] = attrs.evolve(
            self.formats[number],
            name=parts[0],
            clock_rate=parse_number(parts[1], maximum=MAX_UINT32),
            channels=parse_number(parts[2], maximum=255) if len(parts) > 2 else 1,
        )

    def add_fmtp(self, value: str) -> None:
        number, words = _numbered(value)
        if number in self.formats:
            self.formats[number] = attrs.evolve(self.formats[number], fmtp=" ".join(words))

    def add_feedback(self, value: str) -> None:
        target, *words = value.split() or [""]
        number = -1 if target == "*" else parse_number(target, maximum=127)
        kept = self.feedback.setdefault(number, [])
        if words and len(kept) < MAX_FEEDBACK_PER_FORMAT:
            kept.append(" ".join(words))

    def add_extension(self, value: str) -> None:
        words = value.split()
        if len(words) < 2:
            return
        number, _, direction = words[0].partition("/")
        extension = ExtMap(parse_number(number, maximum=65535), words[1], direction)
        self.extensions.setdefault(extension.id, extension)

    def add_msid(self, value: str) -> None:
        words = value.split()
        if words and "msid" not in self.fields:
            self.fields["msid"] = (words[0], words[1] if len(words) > 1 else "")

    def add_source(self, value: str) -> None:
        number, _, rest = value.partition(" ")
        name, text = split_attribute(rest)
        attributes = self.sources.setdefault(parse_number(number, maximum=MAX_UINT32), {})
        if name in ("cname", "msid", "mslabel", "label"):
            attributes[name] = " ".join(text.split()[: 2 if name == "msid" else 1])

    def add_group(self, value: str) -> None:
        semantics, *words = value.split() or [""]
        if words:
            self.groups.append((semantics, tuple(parse_number(word, maximum=MAX_UINT32) for word in words)))

    def add_rid(self, value: str) -> None:
        words = value.split()
        if len(words) >= 2 and words[1] in ("send", "recv"):
            self.rids.setdefault(words[0], Rid(words[0], words[1]))

    def add_simulcast(self, value: str) -> None:
        words = value.split()
        for direction, streams in zip(words[::2], words[1::2], strict=False):
            if direction in ("send", "recv"):
                self.fields[f"simulcast_{direction}"] = _simulcast_ids(streams)

    def add_candidate(self, value: str) -> None:
        if value:
            self.candidates.append(f"candidate:{' '.join(value.split())}")

    def add_sctp_port(self, value: str) -> None:
        self.fields["sctp_port"] = parse_number(value, maximum=65535)

    def add_max_message_size(self, value: str) -> None:
        self.fields["max_message_size"] = parse_number(value, maximum=MAX_UINT64)

    def finish(self, direction: Direction) -> MediaSection:
        self.fields.setdefault("direction", direction)
        return MediaSection(
            kind=self.kind,
            port=self.port,
            protocol=self.protocol,
            formats=self.other_formats,
            fingerprints=tuple(self.fingerprints),
            codecs=tuple(self._with_feedback(codec) for codec in self.formats.values()),
            extensions=tuple(self.extensions.values()),
            ssrcs=tuple(_source(ssrc, attributes) for ssrc, attributes in self.sources.items()),
            ssrc_groups=tuple(self.groups),
            rids=tuple(self.rids.values()),
            candidates=tuple(self.candidates),
            **self.fields,
        )

    def _with_feedback(self, codec: Format) -> Format:
        feedback = dict.fromkeys(self.feedback.get(codec.payload_type, []) + self.feedback.get(-1, []))
        return attrs.evolve(codec, feedback=tuple(feedback)[:MAX_FEEDBACK_PER_FORMAT])


_HANDLERS: dict[str, Callable[[_MediaDraft, str], None]] = {
    "mid": _MediaDraft.add_mid,
    "rtpmap": _MediaDraft.add_rtpmap,
    "fmtp": _MediaDraft.add_fmtp,
    "rtcp-fb": _MediaDraft.add_feedback,
    "extmap": _MediaDraft.add_extension,
    "msid": _MediaDraft.add_msid,
    "ssrc": _MediaDraft.add_source,
    "ssrc-group": _MediaDraft.add_group,
    "rid": _MediaDraft.add_rid,
    "simulcast": _MediaDraft.add_simulcast,
    "candidate": _MediaDraft.add_candidate,
    "sctp-port": _MediaDraft.add_sctp_port,
    "max-message-size": _MediaDraft.add_max_message_size,
}
_FLAGS = {
    "rtcp-mux": "rtcp_mux",
    "rtcp-rsize": "rtcp_rsize",
    "bundle-only": "bundle_only",
    "end-of-candidates": "end_of_candidates",
}


def _has_space(value: str) -> bool:
    return value.split() != [value]


def _payload_types(formats: list[str]) -> dict[int, None]:
    return dict.fromkeys(parse_number(word, maximum=127) for word in formats)


def _blank(kind: str, payload_type: int) -> Format:
    name, clock_rate = STATIC_AUDIO_FORMATS.get(payload_type, ("", 0)) if kind == "audio" else ("", 0)
    return Format(payload_type=payload_type, name=name, clock_rate=clock_rate)


def _numbered(value: str) -> tuple[int, list[str]]:
    number, *words = value.split() or [""]
    return parse_number(number, maximum=127), words


def _simulcast_ids(streams: str) -> tuple[str, ...]:
    """Ids of a simulcast list (RFC 8853 §5.1): the first of each set of alternatives, without the mark of a paused one."""
    ids = (stream.split(",")[0].lstrip("~") for stream in streams.split(";"))
    return tuple(dict.fromkeys(filter(None, ids)))


def _source(ssrc: int, attributes: dict[str, str]) -> SsrcInfo:
    stream_id, track_id = [*attributes.get("msid", "").split(), "", ""][:2]
    return SsrcInfo(
        ssrc,
        attributes.get("cname", ""),
        stream_id or attributes.get("mslabel", ""),
        track_id or attributes.get("label", ""),
    )
