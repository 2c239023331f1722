"""Errors of capabilities: exceptions with the contract's own word for what went wrong."""

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from componentize_py_types import Err

R = TypeVar("R")


class CapabilityError(Exception):
    """What a capability refused."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """The case in `wit/`, such as `bad-signature`."""


def word(case: Enum) -> str:
    """A case as the contract writes it."""
    return case.name.lower().replace("_", "-")


def raising(kind: type[CapabilityError], call: Callable[..., R], *arguments: Any) -> R:
    """Calls, and raises what the call refuses."""
    try:
        return call(*arguments)
    except Err as error:
        raise kind(word(error.value)) from None


def milliseconds(seconds: float | None) -> int | None:
    """As the contract counts time."""
    return None if seconds is None else round(seconds * 1000)
