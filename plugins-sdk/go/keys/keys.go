// Package keys looks up API keys. The gateway keeps only their digests.
package keys

import (
	raw "gatehouse/internal/bindings/gatehouse_plugin_keys"
	"gatehouse/internal/wit/types"
)

// Holder is the client that holds a key. An empty Plan or KeyID is none.
type Holder struct {
	Name string
	// Scopes are what this key may do.
	Scopes []string
	Plan   string
	KeyID  string
}

// Find is the client that holds this key; nil for a key that is malformed, unknown, expired or revoked, or whose client is
// disabled, without saying which. When the plugin goes on, the gateway takes the holder as the authenticated client.
func Find(key string) *Holder { return holder(raw.Find([]byte(key))) }

// FindOf is the same, if the holder is the client of this name: a name and a password.
func FindOf(name, key string) *Holder { return holder(raw.FindOf(name, []byte(key))) }

func holder(found wit_types.Option[raw.Holder]) *Holder {
	if found.IsNone() {
		return nil
	}
	known := found.Some()
	return &Holder{known.Name, known.Scopes, known.Plan.SomeOr(""), known.KeyId.SomeOr("")}
}
