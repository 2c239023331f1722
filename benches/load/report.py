"""The tables: medians over rounds, ratios taken within a round, and what the issue asks for."""

import json
from dataclasses import asdict
from statistics import median

from bench import NOISY_SHARE
from contenders import ENVOY_CHAIN, GATEHOUSE, GATEHOUSE_CHAIN, NGINX, Contender
from latency import Latency
from rate import Rate

# Issue 2: each contender against a peer, CPU per request, at most.
TARGETS = [(GATEHOUSE, NGINX, 1.1), (GATEHOUSE_CHAIN, NGINX, 1.3), (GATEHOUSE_CHAIN, ENVOY_CHAIN, 0.35)]

Rounds = list[dict[str, Rate]]


def rate_table(contenders: list[Contender], rounds: Rounds) -> str:
    head = ["contender", "requests/s", "CPU µs/request", "user", "system", "× nginx", "× Envoy chain"]
    head += ["proxy on core 0", "load on core 1", "others", "errors"]
    return markdown(head, [rate_row(contender, rounds) for contender in contenders])


def rate_row(contender: Contender, rounds: Rounds) -> list[str]:
    mine = [figures[contender.name] for figures in rounds]
    return [
        contender.name,
        f"{median(rate.requests_per_second for rate in mine):,.0f}",
        f"{median(rate.cpu for rate in mine):.1f} ({min(r.cpu for r in mine):.1f}–{max(r.cpu for r in mine):.1f})",
        f"{median(rate.user for rate in mine):.1f}",
        f"{median(rate.system for rate in mine):.1f}",
        as_ratio(ratio(contender, NGINX, rounds)),
        as_ratio(ratio(contender, ENVOY_CHAIN, rounds)),
        f"{median(rate.proxy_share for rate in mine):.0%}",
        f"{median(rate.load_share for rate in mine):.0%}",
        f"{median(rate.noise for rate in mine):.0%}",
        str(sum(rate.errors for rate in mine)),
    ]


def ratio(contender: Contender, peer: Contender, rounds: Rounds) -> float | None:
    """Within each round first, since the machine's mood changes from round to round."""
    both = [figures for figures in rounds if {contender.name, peer.name} <= figures.keys()]
    if not both:
        return None
    return median(figures[contender.name].cpu / figures[peer.name].cpu for figures in both)


def as_ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def latency_table(latencies: list[Latency]) -> str:
    head = ["contender", "asked req/s", "reached", "p50 ms", "p99 ms", "p99.9 ms", "errors"]
    return markdown(head, [latency_row(latency) for latency in latencies])


def latency_row(latency: Latency) -> list[str]:
    times = [f"{seconds * 1000:.2f}" for seconds in (latency.p50, latency.p99, latency.p999)]
    rates = [f"{latency.asked_rate:,.0f}", f"{latency.reached_rate:,.0f}"]
    return [latency.contender, *rates, *times, str(latency.errors)]


def targets(rounds: Rounds) -> list[str]:
    lines = []
    for contender, peer, limit in TARGETS:
        if (value := ratio(contender, peer, rounds)) is not None:
            verdict = "met" if value <= limit else "MISSED"
            lines.append(f"{contender.name} / {peer.name}: {value:.2f}, at most {limit}: {verdict}")
    return lines


def warnings(contenders: list[Contender], rounds: Rounds) -> list[str]:
    lines = []
    for contender in contenders:
        noise = [figures[contender.name].noise for figures in rounds]
        if noisy := sum(share > NOISY_SHARE for share in noise):
            lines.append(f"{contender.name}: other programs took up to {max(noise):.0%} of a core in {noisy} of {len(noise)} rounds")
    return lines


def errors(figures: list[Rate | Latency]) -> list[str]:
    return [f"{figure.contender}: {figure.errors} errors, the first: {figure.first_error}"
            for figure in figures if figure.errors]


def records(figures: list[Rate | Latency]) -> str:
    """Every figure as one JSON object a line."""
    return "".join(json.dumps({"kind": type(figure).__name__.lower(), **asdict(figure)}) + "\n" for figure in figures)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table that also lines up in a terminal: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(table_line(cells, widths) for cells in [head, rule, *rows])


def table_line(cells: list[str], widths: list[int]) -> str:
    first, *others = [(cell, width) for cell, width in zip(cells, widths)]
    aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "| " + " | ".join(aligned) + " |"
