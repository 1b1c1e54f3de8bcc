"""A node and two clients without any loop or network: what one puts out is handed to the other in a few lines."""

from __future__ import annotations

from sansio import Accept, Close, Config, Node, Reject, SeededEntropy, Send, SessionId
from sansio.auth import Claims, VideoGrant, mint
from sansio.sim import Client, CloseSocket, OpenSocket, SeededDtls, SendFrame, TrackOptions
from sansio.sim.media import ONE_LAYER
from sansio.wire import models

KEY, SECRET, UNIX_TIME = "key", "secret of the test, long enough for anybody", 1_750_000_000.0
SERVER = ("192.0.2.1", 7882)


class Exchange:
    """Everything arrives at once; time is stepped by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.dtls = SeededDtls(1)
        self.node = Node(
            Config(keys={KEY: SECRET}),
            entropy=SeededEntropy(1),
            wallclock_offset=UNIX_TIME,
            certificate=self.dtls.certificate("node"),
            handshake=self.dtls.handshake,
        )
        self.node.add_socket(SERVER, [SERVER])
        self.clients: dict[SessionId, Client] = {}

    def client(self, identity: str) -> Client:
        claims = Claims(
            issuer=KEY, identity=identity, video=VideoGrant(room_join=True, room="r"), expires_at=UNIX_TIME + 3600
        )
        number = len(self.clients) + 1
        client = self.clients[SessionId(number)] = Client(
            identity=identity,
            token=mint(claims, SECRET, wallclock=UNIX_TIME),
            address=(f"10.0.0.{number}", 5000),
            entropy=SeededEntropy(identity),
            certificate=self.dtls.certificate(identity),
            handshake=self.dtls.handshake,
        )
        client.join(self.now)
        self.flush()
        return client

    def flush(self) -> None:
        """Hand on until nobody has anything to say."""
        busy = True
        while busy:
            busy = False
            for session, client in self.clients.items():
                for command in client.poll_commands():
                    busy = True
                    match command:
                        case OpenSocket(request):
                            self.node.handle_connect(self.now, session, request)
                        case SendFrame(frame):
                            self.node.handle_message(self.now, session, frame)
                        case CloseSocket():
                            self.node.handle_disconnect(self.now, session)
                batch = [(one.remote, one.local, one.data) for many in client.poll_transmits() for one in many]
                self.node.handle_datagrams(self.now, batch)
                client.poll_events()
                busy = busy or bool(batch)
            for out in [one for many in self.node.poll_transmits() for one in many]:
                busy = True
                client = next(one for one in self.clients.values() if one.address[0] == out.remote[0])
                client.handle_datagrams(self.now, [(out.remote, out.local, out.data)])
            for order in self.node.poll_commands():
                busy = True
                assert isinstance(order, Accept | Reject | Send | Close)
                client = self.clients[order.session]
                match order:
                    case Accept():
                        client.handle_accepted(self.now)
                    case Send(frame=answer):
                        assert isinstance(answer, bytes)
                        client.handle_frame(self.now, answer)
                    case Reject(status=status, body=body):
                        client.handle_rejected(self.now, status, body)
                    case _:
                        client.handle_socket_closed(self.now)
            self.node.poll_events()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            machines: list[Node | Client] = [self.node, *self.clients.values()]
            deadlines = [one.poll_timeout() for one in machines]
            due = min((at for at in deadlines if at is not None), default=end)
            self.now = min(max(due, self.now), end)
            for one in machines:
                at = one.poll_timeout()
                if at is not None and at <= self.now:
                    one.handle_timeout(self.now)
            self.flush()


def test_two_clients_meet_without_a_loop() -> None:
    exchange = Exchange()
    alice, bob = exchange.client("alice"), exchange.client("bob")
    options = TrackOptions(
        name="camera", source=models.TrackSource.CAMERA, layers=ONE_LAYER, fps=30, frames=30, wait_for_subscriber=True
    )
    alice.publish(exchange.now, options)
    alice.send_data(exchange.now, b"hello", topic="chat")
    exchange.flush()
    exchange.run(3.0)
    assert [sink.frames for sink in bob.sinks("alice")] == [30]
    assert [(one.sender, one.payload, one.topic) for one in bob.inbox.messages] == [("alice", b"hello", "chat")]
    alice.leave(exchange.now)
    exchange.flush()
    assert not bob.view.participants
    assert exchange.node.stats()["participants"] == 1


def test_a_bad_token_is_refused() -> None:
    exchange = Exchange()
    stranger = Client(
        identity="x",
        token="not a token",
        address=("10.0.0.9", 5000),
        entropy=SeededEntropy("x"),
        certificate=exchange.dtls.certificate("x"),
        handshake=exchange.dtls.handshake,
    )
    exchange.clients[SessionId(1)] = stranger
    stranger.join(exchange.now)
    exchange.flush()
    assert stranger.left is not None
    assert stranger.left.status == 401
