"""The command line: `atrium dev`, `serve`, `token`, `generate-keys`, `load-test`.

Flags and environment variables are LiveKit's where it has them.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial, reduce
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import trio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sansio import Config
from sansio.auth import Claims, VideoGrant, mint
from sansio.ids import base62
from sansio.ids import mint as mint_id

from . import demo, logs
from .app import Running, StartError, serve
from .config import DEV_KEYS, ConfigError, ServerConfig, Setting, load
from .load.flags import flags as load_test_flags
from .values import parse_keys, to_duration

try:
    import resource
except ImportError:  # not a Unix
    resource = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])

YOUNG_OBJECTS = 20_000
"""When a collection looks for cycles among them. One burst to many subscribers makes more than Python's 700, and all are free
again at its end; with 1,000 subscribers a sixth of the time went into looking at them."""

DEFAULT_TTL = "6h"
ROOM = "demo"
"""Where the first call is."""
_FLAG_KEYS = {
    "port": ("port", "--port"),
    "udp_port": ("rtc.udp_port", "--udp-port"),
    "bind": ("bind_addresses", "--bind"),
    "node_ip": ("rtc.node_ip", "--node-ip"),
    "keys": ("keys", "--keys"),
    "key_file": ("key_file", "--key-file"),
    "region": ("region", "--region"),
    "redis_host": ("redis.address", "--redis-host"),
    "redis_password": ("redis.password", "--redis-password"),
    "turn_cert": ("turn.cert_file", "--turn-cert"),
    "turn_key": ("turn.key_file", "--turn-key"),
}
"""Parameter to the configuration key that it sets, and its flag."""


class Fatal(click.ClickException):
    """Ends the program with a message."""

    def show(self, file: Any = None) -> None:
        console = Console(file=file, stderr=file is None, highlight=False, soft_wrap=True)
        console.print(f"[bold red]error:[/] {escape(self.message)}")


def _server_flags(command: F) -> F:
    """Flags of dev and serve."""
    options = [
        click.option(
            "--port", type=click.IntRange(0, 65535), help="HTTP and WebSocket port (7880); 0 picks a free one."
        ),
        click.option(
            "--udp-port", envvar="UDP_PORT", metavar="PORT", help="UDP port or range for media; 0 picks a free one."
        ),
        click.option("--bind", multiple=True, metavar="ADDRESS", help="Address to listen on; may be repeated."),
        click.option("--node-ip", envvar="NODE_IP", metavar="IP", help="Address that clients send media to."),
        click.option("--keys", envvar="LIVEKIT_KEYS", metavar='"KEY: SECRET"', help="API keys, one pair a line."),
        click.option("--key-file", metavar="FILE", help="File of API keys."),
        click.option("--region", envvar="LIVEKIT_REGION", hidden=True),
        click.option("--redis-host", envvar="REDIS_HOST", hidden=True),
        click.option("--redis-password", envvar="REDIS_PASSWORD", hidden=True),
        click.option("--turn-cert", envvar="LIVEKIT_TURN_CERT", hidden=True),
        click.option("--turn-key", envvar="LIVEKIT_TURN_KEY", hidden=True),
    ]
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("atrium-sfu")
    except PackageNotFoundError:
        return "from source"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), message=f"atrium version %(version)s, protocol of LiveKit {Config().version}")
def main() -> None:
    """A WebRTC media server that LiveKit's clients connect to."""


@main.command()
@_server_flags
@click.option("--verbose", "-v", is_flag=True, help="Log debug lines.")
def dev(verbose: bool, **flags: Any) -> None:
    """Run on this host for development, with a well-known key."""
    config = _load(flags, development=True)
    config = attrs.evolve(config, log_level="debug" if verbose else config.log_level)
    _run(config, drain=0.0, started=partial(_welcome, config))


@main.command("serve")
@click.option(
    "--config", "config_file", metavar="FILE", type=click.Path(path_type=Path), help="LiveKit configuration file."
)
@click.option(
    "--config-body", envvar="LIVEKIT_CONFIG", metavar="YAML", help="Configuration as text; wins over the file."
)
@click.option("--drain", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS",
              help="On SIGTERM, let rooms empty on their own for so long.")  # fmt: skip
@click.option("--dev", "is_dev", is_flag=True, hidden=True)
@click.option("--disable-strict-config", is_flag=True, hidden=True)
@_server_flags
def serve_command(
    config_file: Path | None,
    config_body: str | None,
    drain: float,
    is_dev: bool,
    disable_strict_config: bool,
    **flags: Any,
) -> None:
    """Run with a configuration file."""
    if not (config_file or config_body or is_dev or flags["keys"] or flags["key_file"]):
        raise Fatal(
            "serve needs a configuration: `atrium serve --config livekit.yaml`. An existing livekit.yaml will do; the least "
            'is one line of keys, such as\n\n  keys: {"KEY": "SECRET"}\n\nwith a pair from `atrium generate-keys`. To try '
            "things out on this host, run `atrium dev`, which needs no file."
        )
    name, text = _read(config_file, config_body)
    config = _load(flags, text=text, name=name, development=is_dev, strict=not disable_strict_config)
    _run(config, drain=drain, started=lambda _: None)


@main.command()
@click.option("--room", required=True, help="Room to join.")
@click.option("--identity", required=True, help="Who joins; unique in the room.")
@click.option("--name", default="", help="Name that others see.")
@click.option("--metadata", default="", help="Text that others see.")
@click.option("--ttl", default=DEFAULT_TTL, show_default=True, help="How long the token is good, such as 30m or 24h.")
@click.option("--grant", multiple=True, metavar="GRANT[=VALUE]",
              help="A further grant, such as roomAdmin or canPublish=false; may be repeated.")  # fmt: skip
@click.option("--keys", envvar="LIVEKIT_KEYS", metavar='"KEY: SECRET"', help="Key that signs; the first of several.")
@click.option(
    "--config", "config_file", metavar="FILE", type=click.Path(path_type=Path), help="File that has the keys."
)
@click.option("--api-key", envvar="LIVEKIT_API_KEY", hidden=True)
@click.option("--api-secret", envvar="LIVEKIT_API_SECRET", hidden=True)
def token(
    room: str,
    identity: str,
    name: str,
    metadata: str,
    ttl: str,
    grant: tuple[str, ...],
    keys: str | None,
    config_file: Path | None,
    api_key: str | None,
    api_secret: str | None,
) -> None:
    """Print a token that joins a room."""
    key, secret = _signing_key(keys, config_file, api_key, api_secret)
    try:
        seconds = to_duration(ttl)
        video = VideoGrant.parse({"roomJoin": True, "room": room} | dict(map(parse_grant, grant)))
    except ValueError as error:
        raise Fatal(str(error)) from error
    now = time.time()
    claims = Claims(issuer=key, identity=identity, name=name, metadata=metadata, video=video, expires_at=now + seconds)
    text = mint(claims, secret, wallclock=now)
    if sys.stdout.isatty():
        console = Console(highlight=False)
        console.print(
            f"[dim]Joins room[/] {room} [dim]as[/] {identity}[dim], signed by[/] {key}[dim], good for[/] {ttl}"
        )
    click.echo(text)


@main.command("generate-keys")
def generate_keys() -> None:
    """Print a new API key and its secret."""
    click.echo(f"API Key:  {mint_id('API', os.urandom)}")
    click.echo(f"API Secret:  {base62(os.urandom)}")


@main.command("load-test")
@click.argument("url")
@load_test_flags
@click.option("--keys", envvar="LIVEKIT_KEYS", metavar='"KEY: SECRET"', help="Key that signs tokens.")
@click.option("--api-key", envvar="LIVEKIT_API_KEY", hidden=True)
@click.option("--api-secret", envvar="LIVEKIT_API_SECRET", hidden=True)
def load_test(url: str, keys: str | None, api_key: str | None, api_secret: str | None, **flags: Any) -> None:
    """Load a server with simulated people, and print what reaches them."""
    from .load import command  # needs the whole simulator, which a server does not
    from .load.target import LoadError

    given = keys or (api_key and api_secret)
    key = _signing_key(keys, None, api_key, api_secret) if given else None
    _raise_file_limit()
    try:
        said = command.Flags(**flags)
        code = command.run(command.make_plan(url, key, next(iter(DEV_KEYS.items())), said), said.json_file)
    except LoadError as error:
        raise Fatal(str(error)) from error
    sys.exit(code)


def parse_grant(text: str) -> tuple[str, object]:
    """`roomAdmin`, `canPublish=false`, `canPublishSources=camera,microphone` to a pair of the grant's JSON. Raises
    ValueError."""
    name, equals, value = text.partition("=")
    name = name.replace("-", "_").lower().replace("_", "")
    known = {field.replace("_", ""): _camel(field) for field in attrs.fields_dict(VideoGrant)}
    if name not in known:
        raise ValueError(f"there is no grant {text.partition('=')[0]}; there are {', '.join(sorted(known.values()))}")
    grant = known[name]
    if grant in ("room", "destinationRoom"):
        return grant, value
    if grant == "canPublishSources":
        return grant, [source.strip() for source in value.split(",") if source.strip()]
    if value.lower() not in ("", "true", "false"):
        raise ValueError(f"grant {grant} is true or false")
    return grant, not equals or value.lower() == "true"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# Loading


def _read(config_file: Path | None, config_body: str | None) -> tuple[str, str]:
    """Name and text of the configuration."""
    if config_body:
        return "LIVEKIT_CONFIG", config_body
    if config_file is None:
        return "", ""
    try:
        return str(config_file), config_file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Fatal(f"cannot read {config_file}: {getattr(error, 'strerror', None) or error}") from error


def _load(
    flags: Mapping[str, Any], *, text: str = "", name: str = "", development: bool = False, strict: bool = True
) -> ServerConfig:
    given = {
        path: Setting(flags[parameter], flag)
        for parameter, (path, flag) in _FLAG_KEYS.items()
        if flags.get(parameter) not in (None, (), "")
    }
    try:
        return load(text=text, name=name, flags=given, environment=os.environ, development=development, strict=strict)
    except ConfigError as error:
        raise Fatal(str(error)) from error


def _signing_key(
    keys: str | None, config_file: Path | None, api_key: str | None, api_secret: str | None
) -> tuple[str, str]:
    """The first key of what was given; the development pair if nothing was."""
    try:
        if keys:
            return next(iter(parse_keys(keys).items()))
        if config_file is not None:
            name, text = _read(config_file, None)
            return next(iter(load(text=text, name=name, strict=False).keys.items()))
    except (ValueError, ConfigError) as error:
        raise Fatal(str(error)) from error
    if api_key and api_secret:
        return api_key, api_secret
    return next(iter(DEV_KEYS.items()))


# Running


def _run(config: ServerConfig, *, drain: float, started: Callable[[Running], None]) -> None:
    logs.set_up(config.log_level, json=config.log_json, component_levels=config.component_levels)
    _raise_file_limit()
    gc.collect()
    gc.freeze()  # what the imports made lives for ever; no collection needs to look at it again
    gc.collect()  # nor to weigh: a full collection waits until a quarter as much is new as the last one has left
    gc.set_threshold(YOUNG_OBJECTS)
    try:
        trio.run(_main, config, drain, started)
    except* StartError as errors:
        raise Fatal(str(errors.exceptions[0])) from None
    except* KeyboardInterrupt:
        pass


async def _main(config: ServerConfig, drain: float, started: Callable[[Running], None]) -> None:
    async with trio.open_nursery() as nursery:
        started(await nursery.start(partial(serve, config, drain=drain)))


def _raise_file_limit() -> None:
    """Each WebSocket is a file."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _welcome(config: ServerConfig, running: Running) -> None:
    """What a person needs for a first call."""
    key, secret = next(iter(config.keys.items()))
    host = f"{_reachable(config)}:{running.port}"
    now = time.time()

    def token(identity: str) -> str:
        return mint(attrs.evolve(demo.guest(key, ROOM, wallclock=now), identity=identity), secret, wallclock=now)

    console = Console(highlight=False, soft_wrap=True)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_row("URL", f"[bold]ws://{host}[/]")
    facts.add_row("API key", key)
    facts.add_row("API secret", secret if DEV_KEYS.get(key) == secret else "(as given)")
    facts.add_row("Media", f"UDP port {running.udp_port}")
    console.print("\n[bold]Atrium is running.[/]\n")
    console.print(facts)
    if demo.is_built():
        console.print(
            "\n[bold]Open this in two tabs for a call[/] [dim](whoever opens it is a guest of their own):[/]\n"
        )
        console.print(demo.link(host, token(demo.GUEST)), markup=False)
    else:
        console.print(
            f"\nThe demo page is not built (http://{host}/demo says how). [bold]To listen without it[/] "
            "[dim](publisher.py beside it gives you something to hear):[/]\n"
        )
        console.print(_listener(f"ws://{host}", token("listener")), markup=False)
    console.print(f"\n[dim]A token for alice in room {ROOM}, good for six hours:[/]\n")
    console.print(token("alice"))
    console.print(f"\n[dim]Next, a token for somebody else:[/]  atrium token --room {ROOM} --identity bob")
    console.print("[dim]Stop with[/]  Ctrl+C\n")


def _listener(url: str, token: str) -> str:
    """The commands that start the example that needs no browser."""
    python = os.path.relpath(sys.executable) if sys.prefix != sys.base_prefix else "python3"
    return (
        f"{python} -m pip install -r examples/python/requirements.txt\n"
        f"{python} examples/python/listener.py --url {url} --token {token}"
    )


def _reachable(config: ServerConfig) -> str:
    """A host name for the URL that is shown."""
    address = config.bind_addresses[0] if config.bind_addresses else "127.0.0.1"
    if address in ("0.0.0.0", "::"):
        address = "127.0.0.1"
    return f"[{address}]" if ":" in address else address


if __name__ == "__main__":
    main()
