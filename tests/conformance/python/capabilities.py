"""Actions that ask the gateway for something and answer what came of it."""

from collections.abc import Callable
from typing import Any

from gatehouse_plugin import Reply, Request, http, introspection, jwt, keys, kv, log, metrics, rate_limit
from gatehouse_plugin.fields import text


def answer(action: str, request: Request) -> Reply | None:
    """Makes the calls of this action. The reply of one that answers; None for any other."""
    said = _answer(action, request, request.headers.get_bytes("x-in") or b"")
    return None if said is None else Reply(200, said)


def _answer(action: str, request: Request, given: bytes) -> str | None:
    match action:
        case "log":
            return _say()
        case "metrics":
            return _measure()
        case "kv":
            return _store()
        case "jwt":
            return _verified(jwt.Refusal, lambda: jwt.verify(_token(request), ["main"], ["role", "none"]))
        case "introspection":
            ask = lambda: introspection.introspect(_token(request), ["opaque"], ["role", "none"])
            return _verified(introspection.Refusal, ask)
        case "keys":
            return _holder(given)
        case "rate-limit":
            policy = rate_limit.Policy(0.001, 2)
            return _decided([rate_limit.take(policy, rate_limit.text(given)) for _ in range(3)])
        case "take-all":
            return _take_all(rate_limit.text(given))
        case "enter":
            entered = [rate_limit.enter("places", rate_limit.text(given), 1) for _ in range(2)]
            return " ".join(str(got).lower() for got in entered)
        case "http":
            return _fetch("origin", given)
        case "http-dead":
            return _fetch("dead", given)
        case "http-all":
            return _fetch_all()
    return None


def _say() -> None:
    log.debug("kit debug")
    log.info("kit info")
    log.warn("kit warn")
    log.error("kit error")


def _measure() -> None:
    metrics.count("kit_seen", 2, kind="a")
    metrics.gauge("kit_level", 1.5)
    metrics.observe("kit_seconds", 0.25)


def _store() -> str:
    def get() -> str:
        value = kv.get("k")
        return "-" if value is None else value.decode()

    def done(call: Callable[..., Any], *arguments: Any) -> str:
        try:
            result = call(*arguments)
        except kv.KvError as error:
            return error.reason
        return "ok" if result is None else str(result)

    kv.delete("k")
    kv.delete("n")
    said = [
        get(),
        done(kv.set, "k", "v", 60),
        get(),
        done(kv.increment, "n", 2),
        done(kv.increment, "n", 3),
        done(kv.increment, "k", 1),
        done(kv.set, "big", bytes(2 << 20)),
        done(kv.delete, "k"),
        get(),
    ]
    return " ".join(said)


def _token(request: Request) -> str:
    line = request.headers.get("authorization", "")
    return line.removeprefix("Bearer ") if line.startswith("Bearer ") else ""


def _verified(refusal: type[jwt.Refusal | introspection.Refusal], verify: Callable[[], Any]) -> str:
    try:
        found = verify()
    except refusal as error:
        return error.reason
    return " ".join([found.issuer, found.subject, found.scope, *(claim or "-" for claim in found.claims)])


def _holder(key: bytes) -> str:
    found, of_acme = keys.find(key), keys.find_of("acme", key)
    said = f"{found.name} {','.join(found.scopes)} {found.plan or '-'} {found.key_id or '-'}" if found else "-"
    return f"{said}/{of_acme.name if of_acme else '-'}"


def _take_all(key: rate_limit.Key) -> str:
    one, two = (rate_limit.Policy(0.001, 2, name) for name in ("one", "two"))
    return _decided(rate_limit.take_all([rate_limit.Charge(one, key, 1), rate_limit.Charge(two, key, 2)]))


def _decided(decisions: list[rate_limit.Decision]) -> str:
    return ",".join(f"{str(decision.allowed).lower()} {decision.remaining}" for decision in decisions)


def _fetch(upstream: str, given: bytes) -> str:
    request = http.Request(upstream, "/fetched?q=1", "POST", [("x-sent", given)], "question", timeout=5)
    try:
        response = http.fetch(request)
    except http.HttpError as error:
        return error.reason
    return f"{response.status} {response.headers.get('x-up', '-')} {text(response.body)}"


def _fetch_all() -> str:
    requests = [http.Request(*place) for place in [("origin", "/one"), ("origin", "/two"), ("secret", "/three")]]
    results = http.fetch_all(requests)
    said = [result.reason if isinstance(result, http.HttpError) else f"{result.status} {text(result.body)}" for result in results]
    return ",".join(said)
