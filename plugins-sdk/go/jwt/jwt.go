// Package jwt has the gateway verify JSON Web Tokens, with the keys of the configured issuers.
package jwt

import (
	raw "gatehouse/internal/bindings/gatehouse_plugin_jwt"
	"gatehouse/internal/wit/types"
)

// Refusal is why a token was refused. Its text is the contract's name for it.
type Refusal string

// Why a token was refused.
const (
	Malformed     Refusal = "malformed"
	UnknownIssuer Refusal = "unknown-issuer"
	BadSignature  Refusal = "bad-signature"
	Expired       Refusal = "expired"
	NotYetValid   Refusal = "not-yet-valid"
	WrongAudience Refusal = "wrong-audience"
	BadClaims     Refusal = "bad-claims"
	// KeysUnavailable says that the issuer's keys could not be had yet. Answer 503, not 401.
	KeysUnavailable Refusal = "keys-unavailable"
)

// refusals are in the order of the contract.
var refusals = [...]Refusal{Malformed, UnknownIssuer, BadSignature, Expired, NotYetValid, WrongAudience, BadClaims, KeysUnavailable}

// Error is the contract's name for it.
func (r Refusal) Error() string { return string(r) }

// Verified is what a good token says.
type Verified struct {
	Issuer  string
	Subject string
	// Scope is the scope or scp claim, separated by spaces.
	Scope string
	// Claims are those asked for that there are: a string as it is, any other value as JSON.
	Claims map[string]string
}

// Verify verifies a token. Issuers are names from the configuration; none allows them all. When the plugin goes on, the
// gateway takes the token's subject as the authenticated client. An error is a [Refusal].
func Verify(token string, issuers, claims []string) (*Verified, error) {
	result := raw.Verify([]byte(token), issuers, claims)
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
