"""From JSON to the plugin's own dataclass, and from the dataclass to a JSON Schema."""

import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import dacite

from .plugin import PluginError

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def kind_of(plugin: type) -> Any:
    """What a plugin annotates its `config` with; None where it does not."""
    kind = get_type_hints(plugin)["config"]
    return None if kind is Any else get_origin(kind) or kind


def read(kind: Any, document: Any) -> Any:
    """The configuration as the plugin wants it. PluginError says what does not fit."""
    if not isinstance(document, dict):
        raise PluginError("the configuration is an object")
    if kind is dict:
        return document
    if kind is None:
        if document:
            raise PluginError(f"it takes no configuration, and `{next(iter(document))}` is one")
        return document
    try:
        return dacite.from_dict(kind, document, dacite.Config(strict=True, cast=[tuple]))
    except dacite.DaciteError as error:
        raise PluginError(str(error)) from error


def schema(kind: Any) -> dict[str, Any] | None:
    """The schema of a configuration. None where anything goes."""
    if kind is dict:
        return None
    if kind is None:
        return {"type": "object", "additionalProperties": False}
    return _schema(kind)


def _schema(kind: Any) -> dict[str, Any]:
    arguments = get_args(kind)
    match get_origin(kind) or kind:
        case plain if plain in _PLAIN:
            return {"type": _PLAIN[plain]}
        case origin if origin is list:
            return {"type": "array", "items": _schema(arguments[0])} if arguments else {"type": "array"}
        case origin if origin is dict:
            return {"type": "object", "additionalProperties": _schema(arguments[1])} if arguments else {"type": "object"}
        case origin if origin is Literal:
            return {"enum": list(arguments)}
        case origin if origin in (Union, types.UnionType):
            return {"anyOf": [_schema(argument) for argument in arguments]}
        case origin if origin is type(None):
            return {"type": "null"}
        case origin if is_dataclass(origin):
            return _object(origin)
    return {}


def _object(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties = {field.name: _schema(hints[field.name]) for field in fields(kind)}
    required = [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
