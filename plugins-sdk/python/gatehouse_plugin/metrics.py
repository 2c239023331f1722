"""Metrics of the plugin's own, published at `/metrics` as `gatehouse_plugin_<name>` with the label `plugin`. Grant: `metrics`.

Names and labels match `[a-z][a-z0-9_]*`. A plugin has a budget of series (256); what goes past it is counted under the
label value `other`.
"""

from wit_world.imports import metrics as _wit


def count(name: str, by: int = 1, **labels: str) -> None:
    """Adds to a counter. Its published name ends in `_total`."""
    _wit.count(name, _labels(labels), by)


def gauge(name: str, value: float, **labels: str) -> None:
    """Sets a gauge."""
    _wit.gauge(name, _labels(labels), float(value))


def observe(name: str, value: float, **labels: str) -> None:
    """Observes a value in a histogram; seconds for durations."""
    _wit.observe(name, _labels(labels), float(value))


def _labels(labels: dict[str, str]) -> list[_wit.Label]:
    return [_wit.Label(name, value) for name, value in labels.items()]
