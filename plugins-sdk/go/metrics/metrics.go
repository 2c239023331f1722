// Package metrics publishes metrics of the plugin's own at /metrics as gatehouse_plugin_<name>. Names and labels match
// [a-z][a-z0-9_]*; a bad name drops the measurement.
package metrics

import raw "gatehouse/internal/bindings/gatehouse_plugin_metrics"

// Label is a name and its value.
type Label struct{ Name, Value string }

// Count adds to a counter. Its published name ends in _total.
func Count(name string, by uint64, labels ...Label) { raw.Count(name, rawLabels(labels), by) }

// Gauge sets a gauge.
func Gauge(name string, value float64, labels ...Label) { raw.Gauge(name, rawLabels(labels), value) }

// Observe observes a value in a histogram; seconds for durations.
func Observe(name string, value float64, labels ...Label) {
	raw.Observe(name, rawLabels(labels), value)
}

func rawLabels(labels []Label) []raw.Label {
	rawLabels := make([]raw.Label, len(labels))
	for i, label := range labels {
		rawLabels[i] = raw.Label{Name: label.Name, Value: label.Value}
	}
	return rawLabels
}
