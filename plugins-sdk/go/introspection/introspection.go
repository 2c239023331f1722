// Package introspection has the gateway ask the configured issuers about opaque tokens (RFC 7662).
package introspection

import (
	raw "gatehouse/internal/bindings/gatehouse_plugin_introspection"
	"gatehouse/internal/wit/types"
)

// Refusal is why a token was refused. Its text is the contract's name for it.
type Refusal string

// Why a token was refused.
const (
	Malformed     Refusal = "malformed"
	UnknownIssuer Refusal = "unknown-issuer"
	// Inactive says that the issuer does not call the token active: revoked, expired, made up.
	Inactive      Refusal = "inactive"
	Expired       Refusal = "expired"
	NotYetValid   Refusal = "not-yet-valid"
	WrongAudience Refusal = "wrong-audience"
	// Unavailable says that the issuer could not be asked. Answer 503, not 401.
	Unavailable Refusal = "unavailable"
)

// refusals are in the order of the contract.
var refusals = [...]Refusal{Malformed, UnknownIssuer, Inactive, Expired, NotYetValid, WrongAudience, Unavailable}

// Error is the contract's name for it.
func (r Refusal) Error() string { return string(r) }

// Verified is what the issuer says of an active token.
type Verified struct {
	Issuer  string
	Subject string
	// Scope is separated by spaces.
	Scope string
	// Claims are those asked for that there are: a string as it is, any other value as JSON.
	Claims map[string]string
}

// Introspect asks about a token. Issuers are names from the configuration; none allows all that can be asked. When the
// plugin goes on, the gateway takes the token's subject as the authenticated client. An error is a [Refusal].
func Introspect(token string, issuers, claims []string) (*Verified, error) {
	result := raw.Introspect([]byte(token), issuers, claims)
	if result.IsErr() {
		return nil, refusals[result.Err()]
	}
	good := result.Ok()
	return &Verified{good.Issuer, good.Subject, good.Scope, named(claims, good.Claims)}, nil
}

func named(names []string, values []wit_types.Option[string]) map[string]string {
	found := make(map[string]string, len(names))
	for i, value := range values {
		if value.IsSome() {
			found[names[i]] = value.Some()
		}
	}
	return found
}
