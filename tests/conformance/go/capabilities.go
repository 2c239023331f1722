package main

import (
	"fmt"
	"strings"
	"time"

	"gatehouse"
	"gatehouse/http"
	"gatehouse/introspection"
	"gatehouse/jwt"
	"gatehouse/keys"
	"gatehouse/kv"
	"gatehouse/log"
	"gatehouse/metrics"
	"gatehouse/ratelimit"
)

// call makes the calls of an action, and says what came of them if that is what it answers.
func call(action string, request *gatehouse.Request) (said string, answers bool) {
	given := request.Header("x-in")
	switch action {
	case "log":
		logAtAllLevels()
		return "", false
	case "metrics":
		measure()
		return "", false
	case "kv":
		return store(), true
	case "jwt":
		return verified(jwt.Verify(token(request), []string{"main"}, []string{"role", "none"})), true
	case "introspection":
		return introspected(introspection.Introspect(token(request), []string{"opaque"}, []string{"role", "none"})), true
	case "keys":
		return holder(given), true
	case "rate-limit":
		return take(given), true
	case "take-all":
		return takeAll(given), true
	case "enter":
		key := ratelimit.ByText(given)
		return fmt.Sprint(ratelimit.Enter("places", key, 1), " ", ratelimit.Enter("places", key, 1)), true
	case "http":
		return fetch("origin", given), true
	case "http-dead":
		return fetch("dead", given), true
	case "http-all":
		return fetchAll(), true
	}
	return "", false
}

func logAtAllLevels() {
	log.Debug("kit debug")
	log.Info("kit info")
	log.Warn("kit warn")
	log.Error("kit error")
}

func measure() {
	metrics.Count("kit_seen", 2, metrics.Label{Name: "kind", Value: "a"})
	metrics.Gauge("kit_level", 1.5)
	metrics.Observe("kit_seconds", 0.25)
}

func store() string {
	kv.Delete("k")
	kv.Delete("n")
	get := func() string {
		value, _ := kv.Get("k")
		return orDash(string(value))
	}
	done := func(err error) string {
		if err != nil {
			return err.Error()
		}
		return "ok"
	}
	number := func(sum int64, err error) string {
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(sum)
	}
	said := []string{get(), done(kv.Set("k", []byte("v"), time.Minute)), get()}
	said = append(said, number(kv.Increment("n", 2, kv.Forever)), number(kv.Increment("n", 3, kv.Forever)))
	said = append(said, number(kv.Increment("k", 1, kv.Forever)), done(kv.Set("big", make([]byte, 2<<20), kv.Forever)))
	kv.Delete("k")
	return strings.Join(append(said, "ok", get()), " ")
}

func token(request *gatehouse.Request) string {
	token, found := strings.CutPrefix(request.Header("authorization"), "Bearer ")
	if !found {
		return ""
	}
	return token
}

func verified(who *jwt.Verified, err error) string {
	if err != nil {
		return err.Error()
	}
	return strings.Join([]string{who.Issuer, who.Subject, who.Scope, orDash(who.Claims["role"]), orDash(who.Claims["none"])}, " ")
}

func introspected(who *introspection.Verified, err error) string {
	if err != nil {
		return err.Error()
	}
	return strings.Join([]string{who.Issuer, who.Subject, who.Scope, orDash(who.Claims["role"]), orDash(who.Claims["none"])}, " ")
}

func holder(key string) string {
	found, named := "-", "-"
	if holder := keys.Find(key); holder != nil {
		scopes := strings.Join(holder.Scopes, ",")
		found = strings.Join([]string{holder.Name, scopes, orDash(holder.Plan), orDash(holder.KeyID)}, " ")
	}
	if holder := keys.FindOf("acme", key); holder != nil {
		named = holder.Name
	}
	return found + "/" + named
}

func take(key string) string {
	policy := ratelimit.Policy{Rate: 0.001, Burst: 2}
	var decisions []ratelimit.Decision
	for range 3 {
		decisions = append(decisions, ratelimit.Take(policy, ratelimit.ByText(key), 1))
	}
	return decided(decisions)
}

func takeAll(key string) string {
	one := ratelimit.Policy{Name: "one", Rate: 0.001, Burst: 2}
	two := ratelimit.Policy{Name: "two", Rate: 0.001, Burst: 2}
	whose := ratelimit.ByText(key)
	return decided(ratelimit.TakeAll(ratelimit.Charge{Policy: one, Key: whose, Cost: 1}, ratelimit.Charge{Policy: two, Key: whose, Cost: 2}))
}

func decided(decisions []ratelimit.Decision) string {
	var said []string
	for _, decision := range decisions {
		said = append(said, fmt.Sprint(decision.Allowed, " ", decision.Remaining))
	}
	return strings.Join(said, ",")
}

func fetch(upstream, sent string) string {
	response, err := http.Fetch(http.Request{
		Upstream:     upstream,
		Method:       "POST",
		PathAndQuery: "/fetched?q=1",
		Headers:      []http.Field{{Name: "x-sent", Value: sent}},
		Body:         []byte("question"),
		Timeout:      5 * time.Second,
	})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s %s", response.Status, orDash(response.Header("x-up")), response.Body)
}

func fetchAll() string {
	results := http.FetchAll(
		http.Request{Upstream: "origin", PathAndQuery: "/one"},
		http.Request{Upstream: "origin", PathAndQuery: "/two"},
		http.Request{Upstream: "secret", PathAndQuery: "/three"},
	)
	var said []string
	for _, result := range results {
		if result.Err != nil {
			said = append(said, result.Err.Error())
			continue
		}
		said = append(said, fmt.Sprintf("%d %s", result.Response.Status, result.Response.Body))
	}
	return strings.Join(said, ",")
}
