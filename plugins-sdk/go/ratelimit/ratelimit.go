// Package ratelimit has token buckets and places, exact over all workers of this gateway.
package ratelimit

import (
	"time"

	raw "gatehouse/internal/bindings/gatehouse_plugin_rate_limit"
	"gatehouse/internal/convert"
)

// Policy is how fast tokens come and how many the bucket holds.
type Policy struct {
	// Name shares the buckets with every policy of this name, on all routes.
	Name string
	// Rate is tokens a second: more than 0, 1e9 at most.
	Rate float64
	// Burst is what the bucket holds, at least 1.
	Burst uint32
	// Strict asks the shared counter of a fleet each time.
	Strict bool
}

// Key is whose bucket.
type Key struct{ raw raw.Key }

// Charge is one of several takes.
type Charge struct {
	Policy Policy
	Key    Key
	Cost   uint32
}

// Decision is what the bucket said.
type Decision struct {
	Allowed bool
	// Remaining are whole tokens left.
	Remaining uint32
	// Reset is the time until there is a whole token more; 0 if the bucket is full.
	Reset time.Duration
	// RetryAfter is the time until this call would be allowed; 0 if it was.
	RetryAfter time.Duration
}

// ByClient is the authenticated client's bucket; its address's where there is none.
func ByClient() Key { return Key{raw.MakeKeyClient()} }

// ByAddress is the address's bucket.
func ByAddress() Key { return Key{raw.MakeKeyAddress()} }

// ByRoute is one bucket for everybody.
func ByRoute() Key { return Key{raw.MakeKeyRoute()} }

// ByAPIKey is the bucket of the API key that authenticated the client.
func ByAPIKey() Key { return Key{raw.MakeKeyApiKey()} }

// ByText is the bucket of a header's value, a tenant …
func ByText(text string) Key { return Key{raw.MakeKeyText([]byte(text))} }

// Take takes cost tokens if they are there, and none if not.
func Take(policy Policy, key Key, cost uint32) Decision {
	return decision(raw.Take(policy.raw(), key.raw, cost))
}

// TakeAll takes from all of these buckets, 8 at most, or, if one has too little, from none. The decisions come in the
// order of the charges, and each says whether its own bucket had enough.
func TakeAll(charges ...Charge) []Decision {
	rawCharges := make([]raw.Charge, len(charges))
	for i, charge := range charges {
		rawCharges[i] = raw.Charge{Policy: charge.Policy.raw(), Key: charge.Key.raw, Cost: charge.Cost}
	}
	decisions := make([]Decision, 0, len(charges))
	for _, made := range raw.TakeAll(rawCharges) {
		decisions = append(decisions, decision(made))
	}
	return decisions
}

// Enter takes one of limit places until the response was sent. False if all are taken. An empty name is this use of the
// plugin on this route alone.
func Enter(name string, key Key, limit uint32) bool {
	return raw.Enter(convert.Option(name), key.raw, limit)
}

func (p Policy) raw() raw.Policy {
	return raw.Policy{Name: convert.Option(p.Name), Rate: p.Rate, Burst: p.Burst, Strict: p.Strict}
}

func decision(made raw.Decision) Decision {
	millis := func(count uint64) time.Duration { return time.Duration(count) * time.Millisecond }
	return Decision{made.Allowed, made.Remaining, millis(made.ResetMs), millis(made.RetryAfterMs)}
}
