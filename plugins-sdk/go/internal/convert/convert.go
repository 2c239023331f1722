// Package convert goes between the contract's types and Go's own.
package convert

import (
	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
	"gatehouse/internal/wit/types"
)

// common are the methods that have a case of their own, in the order of their cases.
var common = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}

// MethodName is a method's name.
func MethodName(method raw.Method) string {
	if method.Tag() == raw.MethodOther {
		return method.Other()
	}
	return common[method.Tag()]
}

// Method is the method of this name.
func Method(name string) raw.Method {
	switch name {
	case "GET":
		return raw.MakeMethodGet()
	case "HEAD":
		return raw.MakeMethodHead()
	case "POST":
		return raw.MakeMethodPost()
	case "PUT":
		return raw.MakeMethodPut()
	case "DELETE":
		return raw.MakeMethodDelete()
	case "PATCH":
		return raw.MakeMethodPatch()
	case "OPTIONS":
		return raw.MakeMethodOptions()
	default:
		return raw.MakeMethodOther(name)
	}
}

// Option is none where the value is Go's zero.
func Option[T comparable](value T) wit_types.Option[T] {
	var zero T
	if value == zero {
		return wit_types.None[T]()
	}
	return wit_types.Some(value)
}

// Field is a header line to write.
func Field(name, value string) raw.Field {
	return raw.Field{Name: name, Value: []byte(value)}
}
