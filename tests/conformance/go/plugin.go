// The reference plugin of the conformance kit, as tests/conformance/README.md describes it: configuration and phases.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"gatehouse"
)

type config struct {
	Body   string `json:"body"`
	Limit  uint32 `json:"limit"`
	Others bool   `json:"others"`
}

type reference struct {
	gatehouse.Base
	config config
	// The streamed body under way. The chunks of one body reach the instance that saw the phase before them.
	action string
	held   []byte
}

func newReference(config config) (gatehouse.Plugin, error) {
	if config.Body == "" {
		config.Body = "none"
	}
	if config.Limit == 0 {
		config.Limit = 1000
	}
	switch config.Body {
	case "none", "buffered", "streamed":
		return &reference{config: config}, nil
	default:
		return nil, fmt.Errorf("body is none, buffered or streamed, not %s", config.Body)
	}
}

func (r *reference) Needs() *gatehouse.Needs {
	needs := gatehouse.NewNeeds().RequestHeaders("x-in", "authorization").ResponseHeaders("x-up").Client()
	if r.config.Others {
		needs.AllRequestHeaders()
	}
	switch r.config.Body {
	case "buffered":
		needs.BufferedRequestBody(r.config.Limit).BufferedResponseBody(r.config.Limit)
	case "streamed":
		needs.StreamedRequestBody().StreamedResponseBody()
	}
	return needs
}

func (r *reference) OnRequest(request *gatehouse.Request) (gatehouse.Verdict, error) {
	action := path.Base(request.Path())
	r.begin(action)
	if action == "error" {
		return nil, errors.New("as asked")
	}
	commit(action)
	if reply := answer(action, request); reply != nil {
		return reply, nil
	}
	if said, found := call(action, request); found {
		return text(said), nil
	}
	return change(action, request).State([]byte(action + " " + request.ID())), nil
}

func (r *reference) OnResponse(response *gatehouse.Response) (gatehouse.ResponseVerdict, error) {
	state := string(response.State())
	action, _, _ := strings.Cut(state, " ")
	r.begin(action)
	changes := gatehouse.NextResponse()
	switch action {
	case "replace":
		return gatehouse.Respond(203).Header("x-a", "1").Body([]byte("replaced")), nil
	case "state":
		changes.SetHeader("x-state", state).SetHeader("x-id", response.ID())
	case "status":
		seen := strings.Join(response.HeaderLines("x-up"), "|")
		changes.SetHeader("x-seen", fmt.Sprintf("%d %s", response.Status(), seen)).SetStatus(202)
	case "from-gateway":
		changes.SetHeader("x-from-gateway", strconv.FormatBool(response.FromGateway()))
	case "upper":
		if body, shown := response.Body(); shown {
			changes.SetBody(upper(body))
		}
	}
	return changes, nil
}

func (r *reference) OnRequestBody(chunk []byte, last bool) (gatehouse.Chunk, error) {
	if r.action == "stop" && bytes.HasPrefix(chunk, []byte("stop")) {
		return gatehouse.Respond(409).Body([]byte("stopped")), nil
	}
	return r.treat(chunk, last), nil
}

func (r *reference) OnResponseBody(chunk []byte, last bool) (gatehouse.Chunk, error) {
	return r.treat(chunk, last), nil
}

func (r *reference) begin(action string) {
	r.action, r.held = action, nil
}

func (r *reference) treat(chunk []byte, last bool) gatehouse.Chunk {
	switch r.action {
	case "upper":
		chunk = upper(chunk)
		if last {
			chunk = append(chunk, "<end>"...)
		}
		return gatehouse.Replace(chunk)
	case "hold":
		r.held = append(r.held, chunk...)
		if last {
			return gatehouse.Replace(r.held)
		}
		return gatehouse.Replace(nil)
	default:
		return gatehouse.Pass()
	}
}

// upper is a copy with ASCII letters in capitals; bytes.ToUpper would mend what is no UTF-8.
func upper(text []byte) []byte {
	copied := bytes.Clone(text)
	for i, letter := range copied {
		if 'a' <= letter && letter <= 'z' {
			copied[i] = letter - 'a' + 'A'
		}
	}
	return copied
}

func init() {
	gatehouse.Register(newReference)
}

func main() {}
