// Command hmac-signature lets requests in that are signed with a secret shared with the caller, each once.
package main

import (
	"errors"
	"fmt"
	"time"

	"gatehouse"
	"gatehouse/kv"
)

const (
	keyHeader       = "x-key-id"
	timeHeader      = "x-timestamp"
	signatureHeader = "x-signature"
)

type config struct {
	// Keys are the callers' secrets by their ids.
	Keys map[string]string `json:"keys"`
	// MaxAge is how many seconds a signature is good for, and how far clocks may differ.
	MaxAge int64 `json:"max_age"`
	// MaxBody is the longest body that is read, in bytes.
	MaxBody uint32 `json:"max_body"`
}

type plugin struct {
	gatehouse.Base
	config
}

func configure(config config) (gatehouse.Plugin, error) {
	if len(config.Keys) == 0 {
		return nil, errors.New("keys: want at least one")
	}
	for id, secret := range config.Keys {
		if len(secret) < 16 {
			return nil, fmt.Errorf("keys.%s: want a secret of at least 16 bytes", id)
		}
	}
	if config.MaxAge == 0 {
		config.MaxAge = 300
	}
	if config.MaxBody == 0 {
		config.MaxBody = 1 << 20
	}
	return plugin{config: config}, nil
}

func (p plugin) Needs() *gatehouse.Needs {
	return gatehouse.NewNeeds().RequestHeaders(keyHeader, timeHeader, signatureHeader).BufferedRequestBody(p.MaxBody)
}

func (p plugin) OnRequest(request *gatehouse.Request) (gatehouse.Verdict, error) {
	id := request.Header(keyHeader)
	if reason := p.check(request, p.Keys[id]); reason != "" {
		return gatehouse.Problem(401, "Unauthorized", reason).Header("www-authenticate", "HMAC-SHA256"), nil
	}
	fresh, err := p.isFirst(id, request.Header(signatureHeader))
	if err != nil {
		return nil, err
	}
	if !fresh {
		return gatehouse.Problem(401, "Unauthorized", "The signature was used before.").Header("www-authenticate", "HMAC-SHA256"), nil
	}
	caller := gatehouse.Client{Name: id, Method: "hmac"}
	return gatehouse.Next().RemoveHeader(signatureHeader).RemoveHeader(timeHeader).SetClient(caller), nil
}

// check says what is wrong with a request's signature; nothing if it is good.
func (p plugin) check(request *gatehouse.Request, secret string) string {
	at, err := parseTime(request.Header(timeHeader))
	if err != nil {
		return "The header " + timeHeader + " must hold seconds since 1970."
	}
	body, _ := request.Body()
	// An unknown id is told as a wrong signature is, or callers learn which ids exist.
	message := message(request.Method(), request.PathAndQuery(), request.Header(timeHeader), body)
	if secret == "" || !verify(secret, message, request.Header(signatureHeader)) {
		return "The signature does not verify."
	}
	if age := time.Since(at).Abs(); age > time.Duration(p.MaxAge)*time.Second {
		return "The signature is too old, or not valid yet."
	}
	return ""
}

// isFirst notes a signature, and says whether it was never seen. It is remembered for as long as it would be good.
func (p plugin) isFirst(id, signature string) (bool, error) {
	ttl := 2 * time.Duration(p.MaxAge) * time.Second
	seen, err := kv.Increment(id+" "+signature, 1, ttl)
	return seen == 1, err
}

func init() {
	gatehouse.Register(configure)
}

func main() {}
