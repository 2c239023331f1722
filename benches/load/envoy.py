"""Envoy's bootstrap: no filter, or its native JWT, rate-limit and header filters."""

import json

import tokens

TYPES = "type.googleapis.com/envoy"


def bootstrap(port: int, admin_port: int, origin: str, filters: list[dict]) -> str:
    manager = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="public",
        # The plain proxy makes no request id, for none of the other plain proxies does.
        generate_request_id=bool(filters),
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}],
                }
            ]
        },
        http_filters=[*filters, http_filter("router", "router.v3.Router")],
    )
    listener = {
        "name": "public",
        "address": address("127.0.0.1", port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    host, _, origin_port = origin.rpartition(":")
    endpoint = {"endpoint": {"address": address(host, int(origin_port))}}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    document = {
        "admin": {"address": address("127.0.0.1", admin_port)},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }
    return json.dumps(document, indent=2)


def native_chain(jwks: str, cached: bool) -> list[dict]:
    """Does what Gatehouse's chain does: verify, limit (never refusing), set a header, make an id."""
    return [jwt_authn(jwks, cached), local_ratelimit(), header_mutation()]


def jwt_authn(jwks: str, cached: bool) -> dict:
    provider = {
        "issuer": tokens.ISSUER,
        "audiences": [tokens.AUDIENCE],
        "local_jwks": {"inline_string": jwks},
        "claim_to_headers": [{"header_name": "x-user", "claim_name": "sub"}],
        "forward": False,
    }
    if cached:
        # The default of 100 would be too small for the tokens of this bench.
        provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
    return http_filter(
        "jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        providers={"main": provider},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "main"}}],
    )


def local_ratelimit() -> dict:
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return http_filter(
        "local_ratelimit",
        "local_ratelimit.v3.LocalRateLimit",
        stat_prefix="limit",
        token_bucket={"max_tokens": 1000000, "tokens_per_fill": 1000000, "fill_interval": "1s"},
        filter_enabled=always,
        filter_enforced=always,
    )


def header_mutation() -> dict:
    header = {"key": "x-gateway", "value": "gatehouse"}
    edit = {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    return http_filter(
        "header_mutation",
        "header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": [edit]},
    )


def http_filter(name: str, kind: str, **fields) -> dict:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": typed(f"extensions.filters.http.{kind}", **fields),
    }


def typed(kind: str, **fields) -> dict:
    return {"@type": f"{TYPES}.{kind}", **fields}


def address(host: str, port: int) -> dict:
    return {"socket_address": {"address": host, "port_value": port}}
