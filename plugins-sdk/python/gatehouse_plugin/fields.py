"""Header lines, and the text in them.

Values are bytes (RFC 9110 §5.5). As text they are UTF-8, and a byte that is none becomes a lone surrogate, so that text
written back is the same bytes again.
"""

from collections.abc import Iterator, Sequence

Value = str | bytes
"""What a header can be set to."""


def text(value: bytes) -> str:
    """Bytes as text that `encoded` makes the same bytes of again."""
    return value.decode("utf-8", "surrogateescape")


def encoded(value: Value) -> bytes:
    """Text or bytes as bytes."""
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


class Headers:
    """The header lines that a plugin is shown, in order. Names are looked up in any case."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Sequence[tuple[str, bytes]]) -> None:
        self._lines = lines

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first line of that name, as text."""
        value = self.get_bytes(name)
        return default if value is None else text(value)

    def get_bytes(self, name: str) -> bytes | None:
        """The first line of that name."""
        name = name.lower()
        return next((value for other, value in self._lines if other == name), None)

    def get_all(self, name: str) -> list[str]:
        """All lines of that name, as text."""
        name = name.lower()
        return [text(value) for other, value in self._lines if other == name]

    def items(self) -> Iterator[tuple[str, str]]:
        """Every line: its name in lower case, and its value as text."""
        return ((name, text(value)) for name, value in self._lines)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get_bytes(name) is not None

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"Headers({list(self.items())!r})"
