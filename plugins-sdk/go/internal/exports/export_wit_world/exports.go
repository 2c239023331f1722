// Package export_wit_world is what the generated exports call: each finds the one instance of this component.
package export_wit_world

import (
	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
	"gatehouse/internal/wit/runtime"
	"gatehouse/internal/wit/types"
)

// Entry is a plugin's type, before there is an instance of it.
type Entry interface {
	Configure(config string) (Instance, raw.Needs, error)
}

// Instance is a configured plugin, over the contract's own types.
type Instance interface {
	OnRequest(request raw.Request) (raw.RequestVerdict, error)
	OnRequestBody(chunk []byte, last bool) (raw.ChunkVerdict, error)
	OnResponse(response raw.Response) (raw.ResponseVerdict, error)
	OnResponseBody(chunk []byte, last bool) (raw.ChunkVerdict, error)
}

var (
	entry    Entry
	schema   string
	instance Instance
)

// Register sets the plugin of this component.
func Register(plugin Entry) {
	if entry != nil {
		panic("gatehouse.Register was called twice")
	}
	entry = plugin
}

// RegisterSchema sets the schema of its configuration.
func RegisterSchema(text string) {
	schema = text
}

// ConfigSchema is an export of the world.
func ConfigSchema() wit_types.Option[string] {
	if schema == "" {
		return wit_types.None[string]()
	}
	return wit_types.Some(schema)
}

// Configure is an export of the world.
func Configure(config string) wit_types.Result[raw.Needs, string] {
	runtime.Enter()
	defer runtime.Leave()
	if entry == nil {
		return wit_types.Err[raw.Needs, string]("the plugin does not call gatehouse.Register from an init function")
	}
	made, needs, err := entry.Configure(config)
	if err == nil {
		instance = made
	}
	return result(needs, err)
}

// OnRequest is an export of the world.
func OnRequest(request raw.Request) wit_types.Result[raw.RequestVerdict, string] {
	runtime.Enter()
	defer runtime.Leave()
	return result(instance.OnRequest(request))
}

// OnRequestBody is an export of the world.
func OnRequestBody(chunk []uint8, last bool) wit_types.Result[raw.ChunkVerdict, string] {
	runtime.Enter()
	defer runtime.Leave()
	return result(instance.OnRequestBody(chunk, last))
}

// OnResponse is an export of the world.
func OnResponse(response raw.Response) wit_types.Result[raw.ResponseVerdict, string] {
	runtime.Enter()
	defer runtime.Leave()
	return result(instance.OnResponse(response))
}

// OnResponseBody is an export of the world.
func OnResponseBody(chunk []uint8, last bool) wit_types.Result[raw.ChunkVerdict, string] {
	runtime.Enter()
	defer runtime.Leave()
	return result(instance.OnResponseBody(chunk, last))
}

func result[T any](value T, err error) wit_types.Result[T, string] {
	if err != nil {
		return wit_types.Err[T, string](err.Error())
	}
	return wit_types.Ok[T, string](value)
}
