package gatehouse

import (
	"encoding/json"

	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
	"gatehouse/internal/convert"
	"gatehouse/internal/wit/types"
)

// Client is an authenticated caller. An empty Issuer, Plan or Claims is none.
type Client struct {
	// Name is the configured client's name, or the token's subject.
	Name string
	// Method is which way it was authenticated: api-key, basic-auth, jwt, introspection, or what a plugin said.
	Method string
	// Issuer is the issuer of its token.
	Issuer string
	// Scopes are what it may do.
	Scopes []string
	// Plan is the plan of a configured client.
	Plan string
	// Claims are the token's claims, a JSON object.
	Claims json.RawMessage
}

func newClient(client wit_types.Option[raw.Client]) *Client {
	if client.IsNone() {
		return nil
	}
	known := client.Some()
	return &Client{
		Name:   known.Name,
		Method: known.Method,
		Issuer: known.Issuer.SomeOr(""),
		Scopes: known.Scopes,
		Plan:   known.Plan.SomeOr(""),
		Claims: json.RawMessage(known.Claims.SomeOr("")),
	}
}

func (c Client) raw() raw.Client {
	return raw.Client{
		Name:   c.Name,
		Method: c.Method,
		Issuer: convert.Option(c.Issuer),
		Scopes: c.Scopes,
		Plan:   convert.Option(c.Plan),
		Claims: convert.Option(string(c.Claims)),
	}
}
