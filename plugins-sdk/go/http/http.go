// Package http makes HTTP calls to granted upstreams. A call simply blocks; the gateway serves others meanwhile.
package http

import (
	"strings"
	"time"

	raw "gatehouse/internal/bindings/gatehouse_plugin_http"
	"gatehouse/internal/convert"
	"gatehouse/internal/wit/types"
)

// Error is why a call brought no answer. Its text is the contract's name for it.
type Error string

// Why a call brought no answer.
const (
	Denied      Error = "denied"
	BadRequest  Error = "bad-request"
	Unreachable Error = "unreachable"
	Timeout     Error = "timeout"
	Reset       Error = "reset"
	TooLarge    Error = "too-large"
)

// failures are in the order of the contract.
var failures = [...]Error{Denied, BadRequest, Unreachable, Timeout, Reset, TooLarge}

// Error is the contract's name for it.
func (e Error) Error() string { return string(e) }

// Field is a header line.
type Field struct{ Name, Value string }

// Request is a call to make.
type Request struct {
	// Upstream is the name of one that is granted.
	Upstream string
	// Method is GET where it is empty.
	Method       string
	PathAndQuery string
	Headers      []Field
	Body         []byte
	// Timeout is for the whole call. The plugin's own wall limit applies as well.
	Timeout time.Duration
}

// Response is an answer.
type Response struct {
	Status  int
	Headers []Field
	Body    []byte
}

// Result is one of several answers, or why there is none.
type Result struct {
	Response *Response
	Err      error
}

// Header is the first line of that name; empty if there is none.
func (r *Response) Header(name string) string {
	for _, field := range r.Headers {
		if strings.EqualFold(field.Name, name) {
			return field.Value
		}
	}
	return ""
}

// Fetch makes a call. An error is an [Error].
func Fetch(request Request) (*Response, error) {
	made := result(raw.Fetch(request.raw()))
	return made.Response, made.Err
}

// FetchAll makes all calls at once, 16 at most, and returns when each has ended, in their order.
func FetchAll(requests ...Request) []Result {
	rawRequests := make([]raw.Request, len(requests))
	for i, request := range requests {
		rawRequests[i] = request.raw()
	}
	results := make([]Result, 0, len(requests))
	for _, made := range raw.FetchAll(rawRequests) {
		results = append(results, result(made))
	}
	return results
}

func (r Request) raw() raw.Request {
	method := r.Method
	if method == "" {
		method = "GET"
	}
	headers := make([]raw.Field, len(r.Headers))
	for i, field := range r.Headers {
		headers[i] = convert.Field(field.Name, field.Value)
	}
	return raw.Request{
		Upstream:      r.Upstream,
		Method:        convert.Method(method),
		PathWithQuery: r.PathAndQuery,
		Headers:       headers,
		Body:          r.Body,
		TimeoutMs:     convert.Option(uint32(r.Timeout.Milliseconds())),
	}
}

func result(made wit_types.Result[raw.Response, raw.Error]) Result {
	if made.IsErr() {
		return Result{Err: failures[made.Err()]}
	}
	answer := made.Ok()
	headers := make([]Field, len(answer.Headers))
	for i, field := range answer.Headers {
		headers[i] = Field{field.Name, string(field.Value)}
	}
	return Result{Response: &Response{int(answer.Status), headers, answer.Body}}
}
