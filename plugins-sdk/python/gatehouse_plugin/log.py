"""Lines for the gateway's log. Each carries the plugin's name, its version and the request id by itself.

Grant: `log`. What a plugin prints is logged as well, without a grant: stdout as INFO, stderr as ERROR.
"""

from wit_world.imports import log as _wit


def debug(message: str) -> None:
    _wit.log(_wit.Level.DEBUG, message)


def info(message: str) -> None:
    _wit.log(_wit.Level.INFO, message)


def warn(message: str) -> None:
    _wit.log(_wit.Level.WARN, message)


def error(message: str) -> None:
    _wit.log(_wit.Level.ERROR, message)
