"""A signing key, its JWKS, and the requests that carry its tokens, made anew for every run."""

import base64
import json
import subprocess
import time
from pathlib import Path

ISSUER = "https://issuer.example"
AUDIENCE = "api"
LIFETIME_SECONDS = 24 * 3600

# What a browser-based client of an API sends; with the token, a head of about 1 KB.
HEADERS = {
    "Host": "api.example.com",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Accept": "application/json, text/plain;q=0.9, */*;q=0.8",
    "Accept-Encoding": "gzip, br",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.7",
    "Cache-Control": "no-cache",
}


def make_key(folder: Path) -> Path:
    key = folder / "issuer.pem"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    return key


def make_jwks(key: Path) -> str:
    """The public half as a JWKS of one key; genrsa's exponent is always 65537."""
    printed = subprocess.run(
        ["openssl", "rsa", "-in", key, "-noout", "-modulus"], check=True, capture_output=True, text=True
    )
    modulus = bytes.fromhex(printed.stdout.strip().removeprefix("Modulus="))
    exponent = (65537).to_bytes(3, "big")
    public = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench", "n": base64url(modulus), "e": base64url(exponent)}
    return json.dumps({"keys": [public]})


def make_tokens(key: Path, count: int) -> list[str]:
    """One token a client: its `sub` is what the chain forwards as `x-user`."""
    now = int(time.time())
    return [sign(key, claims(number, now)) for number in range(count)]


def claims(number: int, now: int) -> dict:
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject(number),
        "iat": now - 60,
        "exp": now + LIFETIME_SECONDS,
        "jti": f"{number:032x}",
        "scope": "orders.read orders.write",
    }


def subject(number: int) -> str:
    return f"client-{number:03}"


def sign(key: Path, payload: dict) -> str:
    header = {"alg": "RS256", "typ": "JWT", "kid": "bench"}
    message = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload))
    signed = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", key], input=message.encode(), check=True, capture_output=True
    )
    return f"{message}.{base64url(signed.stdout)}"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def request_head(path: str, token: str | None) -> bytes:
    """One whole request as it goes over the wire."""
    headers = HEADERS | ({"Authorization": f"Bearer {token}"} if token else {})
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
