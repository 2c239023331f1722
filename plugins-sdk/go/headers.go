package gatehouse

import (
	"iter"
	"strings"

	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
)

// Headers are the header lines a plugin was shown. Values are bytes of any kind (RFC 9110 section 5.5).
type Headers struct {
	names    []string
	declared []raw.Header
	others   []raw.Field
}

// All is every line that was shown, by name in lower case.
func (h Headers) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, header := range h.declared {
			if !yield(h.names[header.Index], string(header.Value)) {
				return
			}
		}
		for _, field := range h.others {
			if !yield(field.Name, string(field.Value)) {
				return
			}
		}
	}
}

// Header is the first line of this header; empty if there is none, or if the plugin did not declare it.
func (h Headers) Header(name string) string {
	value, _ := h.LookupHeader(name)
	return value
}

// LookupHeader is the first line of this header, and whether there is one.
func (h Headers) LookupHeader(name string) (string, bool) {
	for found, value := range h.All() {
		if strings.EqualFold(found, name) {
			return value, true
		}
	}
	return "", false
}

// HeaderLines is every line of this header, in order.
func (h Headers) HeaderLines(name string) []string {
	var lines []string
	for found, value := range h.All() {
		if strings.EqualFold(found, name) {
			lines = append(lines, value)
		}
	}
	return lines
}
