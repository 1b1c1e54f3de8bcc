"""What a load test shows: tables while it runs, a summary at its end."""

from __future__ import annotations

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from sansio.load import Quantiles

from .runner import Plan, Report

_KINDS = ("video", "audio", "data", "other")


def render(plan: Plan, report: Report) -> RenderableType:
    """Everything there is to show."""
    parts: list[RenderableType] = [_head(plan, report), _media(report), _joins(report)]
    parts += [Text(line, style="red") for line in _troubles(report)]
    return Group(*parts, *(Text(line) for line in _costs(report)))


def as_json(plan: Plan, report: Report) -> dict[str, object]:
    """The figures as plain values, durations in seconds."""
    figures = report.figures
    values: dict[str, object] = attrs.asdict(figures)
    values |= {"url": plan.target.url, "room": plan.room, "forwarded": figures.forwarded, "loss": figures.loss}
    values |= {"load_test": attrs.asdict(report.own) | {"kernel": report.kernel, "sockets": report.sockets}}
    values |= {"overflows": report.overflows}
    if report.server is not None:
        each = {"us_per_packet": _us_per_packet(report), "bytes_per_subscriber": _bytes_per_subscriber(report)}
        values["server"] = attrs.asdict(report.server) | each
    return values


def _head(plan: Plan, report: Report) -> Text:
    figures = report.figures
    still = f", {figures.joining} joining" if figures.joining else ""
    return Text.assemble(
        (f"{plan.target.url}, room {plan.room}: ", "dim"),
        f"{figures.publishers} of {plan.publishers} publishers, {figures.subscribers} of {plan.subscribers} subscribers "
        f"({min(plan.listeners, plan.subscribers)} listen){still}; ",
        (f"{figures.phase} for {figures.seconds:.0f} s", "bold"),
    )


def _media(report: Report) -> Table:
    figures = report.figures
    names = ("streams", "packets", "/s", "Mbit/s", "lost", "loss", "p50", "p95", "p99")
    table = Table("received", *_right(*names), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption = f"{figures.sent_packets:,} packets published in all layers; times from there to here in ms"
    seconds = max(figures.seconds, 1e-9)
    for kind in _KINDS:
        flow = figures.received.get(kind)
        if flow is None or not flow.packets:
            continue
        latency = figures.latency.get(kind)
        table.add_row(
            kind if kind != "other" else "repair",
            f"{flow.streams:,}",
            _many(flow.packets),
            f"{flow.packets / seconds:,.0f}",
            _rate(flow.octets * 8e-6 / seconds),
            _many(flow.lost),
            f"{flow.loss:.2%}",
            *(_times(latency)),
        )
    return table


def _joins(report: Report) -> Table:
    figures = report.figures
    names = ("count", "p50", "p95", "p99", "longest")
    table = Table("joins, ms", *_right(*names), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, quantiles in (
        ("join message", figures.joined),
        ("connected", figures.connected),
        ("first media", figures.first_media),
    ):
        longest = _ms(quantiles.max) if quantiles.count else "-"
        table.add_row(name, f"{quantiles.count:,}", *_times(quantiles), longest)
    return table


def _troubles(report: Report) -> list[str]:
    figures = report.figures
    lines = [f"{count:,} could not join: {reason}" for reason, count in figures.refused.items()]
    lines += [f"{count:,} lost the connection: {reason}" for reason, count in figures.dropped.items()]
    if report.overflows:
        lines.append(
            f"{report.overflows:,} datagrams reached this machine's sockets while the load test was too busy to read them; "
            "they are missing from what was received"
        )
    return lines


def _costs(report: Report) -> list[str]:
    own = (
        f"load test: {report.own.cores:.0%} of a core, {report.own.memory_bytes / 1e6:,.0f} MB, "
        f"{report.kernel} kernel, {report.sockets} sockets"
    )
    if report.server is None:
        return [own]
    server, cost, size = report.server, _us_per_packet(report), _bytes_per_subscriber(report)
    line = f"server:    {server.cores:.0%} of a core, {server.memory_bytes / 1e6:,.0f} MB"
    line += "" if cost is None else f"; {cost:.2f} µs per forwarded packet"
    line += "" if size is None else f", {size / 1e3:,.0f} kB per subscriber"
    return [line, own]


def _us_per_packet(report: Report) -> float | None:
    if report.server is None or not report.figures.forwarded:
        return None
    return report.server.cpu_seconds / report.figures.forwarded * 1e6


def _bytes_per_subscriber(report: Report) -> float | None:
    """By how much the server has grown since before the first join, publishers included."""
    if report.server is None or not report.figures.subscribers:
        return None
    return report.server.grown_bytes / report.figures.subscribers


def _times(quantiles: Quantiles | None) -> list[str]:
    if quantiles is None or not quantiles.count:
        return ["-", "-", "-"]
    return [_ms(quantiles.p50), _ms(quantiles.p95), _ms(quantiles.p99)]


def _many(count: int) -> str:
    return f"{count / 1e6:,.2f} M" if count >= 1_000_000 else f"{count:,}"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f}" if seconds < 0.1 else f"{seconds * 1e3:,.0f}"


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right") for name in names]
