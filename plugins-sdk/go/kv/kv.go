// Package kv is a store in memory, shared by all instances of this plugin on this gateway and seen by no other plugin.
package kv

import (
	"errors"
	"time"

	raw "gatehouse/internal/bindings/gatehouse_plugin_kv"
	"gatehouse/internal/wit/types"
)

var (
	// ErrQuota says that a write would pass the quota. Nothing was changed.
	ErrQuota = errors.New("quota")
	// ErrNotACounter says that a value is not a counter, or would overflow.
	ErrNotACounter = errors.New("not-a-counter")
)

// Forever keeps a value until it is deleted.
const Forever time.Duration = 0

// Get is the value of a key, and whether there is one.
func Get(key string) ([]byte, bool) {
	value := raw.Get(key)
	return value.SomeOr(nil), value.IsSome()
}

// Set writes a value, for so long or [Forever].
func Set(key string, value []byte, ttl time.Duration) error {
	if result := raw.Set(key, value, millis(ttl)); result.IsErr() {
		return failed(result.Err())
	}
	return nil
}

// Delete removes a key.
func Delete(key string) { raw.Delete(key) }

// Increment adds to a counter atomically and returns its new value; one that is not there starts at 0. The time to live
// is set when the counter starts and stays as it is after that.
func Increment(key string, delta int64, ttl time.Duration) (int64, error) {
	result := raw.Increment(key, delta, millis(ttl))
	if result.IsErr() {
		return 0, failed(result.Err())
	}
	return result.Ok(), nil
}

func millis(ttl time.Duration) wit_types.Option[uint64] {
	if ttl <= Forever {
		return wit_types.None[uint64]()
	}
	return wit_types.Some(uint64(max(ttl.Milliseconds(), 1)))
}

func failed(code raw.Error) error {
	if code == raw.ErrorQuota {
		return ErrQuota
	}
	return ErrNotACounter
}
