// Metrics of the plugin's own, published at `/metrics` as `gatehouse_plugin_<name>` with the label `plugin`. Grant: `metrics`.
// Names and labels match `[a-z][a-z0-9_]*`. A plugin has a budget of series (256); what goes past it is counted under the
// label value `other`.

import raw from "gatehouse:plugin/metrics@0.1.0";

type Labels = Record<string, string>;

/** Adds to a counter. Its published name ends in `_total`. */
export const count = (name: string, labels: Labels = {}, by = 1): void => raw.count(name, list(labels), by);

/** Sets a gauge. */
export const gauge = (name: string, value: number, labels: Labels = {}): void => raw.gauge(name, list(labels), value);

/** Observes a value in a histogram; seconds for durations. */
export const observe = (name: string, value: number, labels: Labels = {}): void => raw.observe(name, list(labels), value);

function list(labels: Labels) {
  return Object.entries(labels).map(([name, value]) => ({ name, value }));
}
