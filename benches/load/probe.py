"""Before anything is timed: does the proxy do what its row claims?

A proxy that skips the check of tokens would win every round.
"""

import socket

import tokens

TIMEOUT_SECONDS = 5


class Unfit(Exception):
    """The proxy answers, but not as its row says."""


def answers(port: int, token: str) -> bool:
    """Is it up, the way to the origin included?"""
    try:
        return exchange(port, tokens.request_head("/orders/1", token))[0] == 200
    except (OSError, Unfit):
        return False


def check(port: int, all_tokens: list[str], body_length: int, chained: bool) -> None:
    for token in all_tokens:
        status, body = exchange(port, tokens.request_head("/orders/1", token))
        expect(status == 200 and len(body) == body_length, f"a good token got {status} and {len(body)} bytes")
    check_forwarded(port, all_tokens[1], chained)
    if chained:
        check_refusals(port, all_tokens[1])


def check_forwarded(port: int, token: str, chained: bool) -> None:
    """What reached the origin, by the origin's own account."""
    status, body = exchange(port, tokens.request_head("/echo", token))
    expect(status == 200, f"the echo got {status}")
    received = parse_headers(body)
    if not chained:
        expect(received.get("authorization") == f"Bearer {token}", "a plain proxy changed the token")
        return
    expect("authorization" not in received, "the token was forwarded")
    expect(received.get("x-user") == tokens.subject(1), "the subject was not forwarded as x-user")
    expect(received.get("x-gateway") == "gatehouse", "x-gateway was not set")
    expect(bool(received.get("x-request-id")), "no request id was made")


def check_refusals(port: int, token: str) -> None:
    head, payload, signature = token.split(".")
    # The first letter, because the last one carries bits that no decoder has to look at.
    forged = ".".join([head, payload, ("B" if signature[0] == "A" else "A") + signature[1:]])
    for what, bad in [("no token", None), ("a forged token", forged)]:
        status, _ = exchange(port, tokens.request_head("/orders/1", bad))
        expect(status == 401, f"{what} got {status} instead of 401")


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unfit(otherwise)


def exchange(port: int, request: bytes) -> tuple[int, bytes]:
    """Sends one request on a connection of its own and reads one answer by its content-length."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            status_line = answer.readline().split()
            expect(len(status_line) >= 2 and status_line[1].isdigit(), f"no status in {status_line}")
            head = b"".join(iter(answer.readline, b"\r\n"))
            headers = parse_headers(b"\r\n" + head)
            expect("content-length" in headers, "an answer without a content-length")
            return int(status_line[1]), answer.read(int(headers["content-length"]))


def parse_headers(head: bytes) -> dict[str, str]:
    """The headers after the first line, names in lower case."""
    lines = [line for line in head.decode("latin-1").split("\r\n")[1:] if line]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
