package gatehouse

import (
	"encoding/json"
	"errors"
	"strings"

	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
	"gatehouse/internal/exports/export_wit_world"
	_ "gatehouse/internal/exports/wit_exports" // the functions that the gateway calls
)

// Register makes this the plugin of the component. Call it once, from an init function. The configuration is read as
// encoding/json reads it, and a key that C does not have is refused. An error of make refuses the configuration.
func Register[C any](make func(config C) (Plugin, error)) {
	export_wit_world.Register(entry{configure: func(text string) (Plugin, error) {
		config, err := decode[C](text)
		if err != nil {
			return nil, err
		}
		return make(config)
	}})
}

// RegisterSchema gives the JSON Schema (draft 2020-12) of the configuration, which `gatehouse check` reports by.
func RegisterSchema(schema string) {
	export_wit_world.RegisterSchema(schema)
}

func decode[C any](text string) (config C, err error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(&config); err != nil {
		err = errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return config, err
}

// entry is a plugin's type, before there is an instance of it.
type entry struct {
	configure func(text string) (Plugin, error)
}

func (e entry) Configure(text string) (export_wit_world.Instance, raw.Needs, error) {
	plugin, err := e.configure(text)
	if err != nil {
		return nil, raw.Needs{}, err
	}
	needs := plugin.Needs().raw
	return instance{plugin, needs.RequestHeaders, needs.ResponseHeaders}, needs, nil
}

// instance is a plugin with the header names it declared, which the contract only numbers.
type instance struct {
	plugin          Plugin
	requestHeaders  []string
	responseHeaders []string
}

func (i instance) OnRequest(request raw.Request) (raw.RequestVerdict, error) {
	verdict, err := i.plugin.OnRequest(newRequest(&request, i.requestHeaders))
	if err != nil {
		return raw.RequestVerdict{}, err
	}
	return verdict.requestVerdict(), nil
}

func (i instance) OnRequestBody(chunk []byte, last bool) (raw.ChunkVerdict, error) {
	return rawChunk(i.plugin.OnRequestBody(chunk, last))
}

func (i instance) OnResponse(response raw.Response) (raw.ResponseVerdict, error) {
	verdict, err := i.plugin.OnResponse(newResponse(&response, i.responseHeaders))
	if err != nil {
		return raw.ResponseVerdict{}, err
	}
	return verdict.responseVerdict(), nil
}

func (i instance) OnResponseBody(chunk []byte, last bool) (raw.ChunkVerdict, error) {
	return rawChunk(i.plugin.OnResponseBody(chunk, last))
}

func rawChunk(chunk Chunk, err error) (raw.ChunkVerdict, error) {
	if err != nil {
		return raw.ChunkVerdict{}, err
	}
	return chunk.chunkVerdict(), nil
}
