"""The whole node, fed with datagrams, frames, requests and time: nothing raises, and a bystander is not disturbed.

Two members are in a room. The fuzzer speaks for one of them, for strangers on the media port and for HTTP clients; the other
only has to be there at the end, in its room and with its socket open.
"""

from __future__ import annotations

from choices import Choices
from harness import main, make_kernel

from sansio import Accept, Close, Config, HttpRequest, Node, SeededEntropy, SessionId
from sansio.auth import Claims, VideoGrant, mint
from sansio.dtls import Certificate
from sansio.stun import Class, Message, encode
from sansio.wire import rtc

KEY, SECRET = "key", "a secret that is long enough to be one"
WALL = 1_700_000_000.0
SERVER = ("192.0.2.1", 7882)
CERTIFICATE = Certificate.generate(WALL)
FIELDS = [field.name for field in rtc.SignalRequest.DESCRIPTOR.fields]
PATHS = ("/", "/rtc", "/rtc/v1", "/rtc/validate", "/agent", "/twirp/livekit.RoomService/ListRooms", "/nowhere")
BYSTANDER, ATTACKER = SessionId(1), SessionId(2)


def token(identity: str) -> str:
    grant = VideoGrant(room_join=True, room="room", can_update_own_metadata=True)
    return mint(Claims(issuer=KEY, identity=identity, video=grant, expires_at=WALL + 600), SECRET, wallclock=WALL)


TOKENS = {BYSTANDER: token("bystander"), ATTACKER: token("attacker")}


def join(node: Node, now: float, session: SessionId) -> None:
    query = {"access_token": TOKENS[session], "protocol": "17", "auto_subscribe": "1"}
    node.handle_connect(now, session, HttpRequest(method="GET", path="/rtc", query=query))


class Play:
    """One run: a node, a clock, and what the fuzzer may do."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = 0.0
        entropy = SeededEntropy(7)
        self.node = Node(
            Config(keys={KEY: SECRET}),
            entropy=entropy,
            wallclock_offset=WALL,
            kernel=make_kernel(entropy, compares_counters=False),
            certificate=CERTIFICATE,
        )
        self.node.add_socket(SERVER, [SERVER])
        self.closed: set[int] = set()
        self.next_session = 10
        for session in (BYSTANDER, ATTACKER):
            join(self.node, self.now, session)
            assert any(isinstance(command, Accept) for command in self.drain())

    def drain(self) -> list[object]:
        commands: list[object] = list(self.node.poll_commands())
        self.closed |= {command.session for command in commands if isinstance(command, Close)}
        for batch in self.node.poll_transmits():
            for transmit in batch:
                assert 0 < len(transmit.data) <= 1500
        self.node.poll_events()
        return commands

    def step(self) -> None:
        actions = (self.datagram, self.stun, self.frame, self.request_field, self.http, self.connect, self.wait)
        self.choices.pick(actions)()
        self.drain()

    def datagram(self) -> None:
        remote = (f"198.51.100.{self.choices.number(4)}", 1000 + self.choices.number(4))
        self.node.handle_datagram(self.now, SERVER, remote, self.choices.block())

    def stun(self) -> None:
        transaction_id = self.choices.take(12).ljust(12, b"\0")
        message = Message(kind=Class.REQUEST, transaction_id=transaction_id, username=self.choices.text(64))
        self.node.handle_datagram(self.now, SERVER, ("198.51.100.9", 9), encode(message, self.choices.block(32)))

    def frame(self) -> None:
        block = self.choices.block()
        self.node.handle_message(self.now, ATTACKER, block if self.choices.flag() else block.decode("utf-8", "replace"))

    def request_field(self) -> None:
        """A SignalRequest with a known field whose content is anything."""
        number = rtc.SignalRequest.DESCRIPTOR.fields_by_name[self.choices.pick(FIELDS)].number
        body = self.choices.block(400)
        tag = number << 3 | 2
        head = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
        size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
        self.node.handle_message(self.now, ATTACKER, head + size + body)

    def http(self) -> None:
        request = HttpRequest(
            method=self.choices.pick(("GET", "POST", "PUT")),
            path=self.choices.pick(PATHS),
            query={"access_token": self.choices.text()} if self.choices.flag() else {},
            headers={"content-type": self.choices.pick(("application/json", "application/protobuf", "text/plain"))},
            body=self.choices.block(),
        )
        self.node.handle_request(self.now, 1, request)

    def connect(self) -> None:
        if self.choices.flag():
            join(self.node, self.now, ATTACKER)  # as after a lost socket: the same identity comes again
            return
        query = {
            "access_token": TOKENS[ATTACKER],
            "join_request": self.choices.text(),
            "reconnect": self.choices.text(2),
        }
        request = HttpRequest(method="GET", path=self.choices.pick(PATHS), query=query)
        self.next_session += 1
        self.node.handle_connect(self.now, SessionId(self.next_session), request)
        self.node.handle_message(self.now, SessionId(self.next_session), self.choices.block())
        self.node.handle_disconnect(self.now, SessionId(self.next_session))

    def wait(self) -> None:
        self.now += self.choices.number(256) / 64
        self.node.handle_timeout(self.now)


def check(data: bytes) -> None:
    play = Play(Choices(data))
    while play.choices and play.now < 50:  # a member that never connects is sent away after a minute
        play.step()
    assert BYSTANDER not in play.closed
    assert "room" in play.node.rooms


if __name__ == "__main__":
    main(check)
