package gatehouse

import (
	"slices"
	"strings"

	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
)

// Needs is what a plugin declares that it needs to see.
type Needs struct {
	raw raw.Needs
}

// NewNeeds asks for the request phase alone, and no header.
func NewNeeds() *Needs {
	none := raw.MakeBodyModeNone()
	return &Needs{raw.Needs{Phases: raw.PhasesRequest, RequestBody: none, ResponseBody: none}}
}

// ResponseOnly leaves the request phase out.
func (n *Needs) ResponseOnly() *Needs {
	n.raw.Phases = raw.PhasesResponse
	return n
}

// Response asks for the response phase as well.
func (n *Needs) Response() *Needs {
	n.raw.Phases |= raw.PhasesResponse
	return n
}

// RequestHeaders asks for these headers of requests.
func (n *Needs) RequestHeaders(names ...string) *Needs {
	n.raw.RequestHeaders = declare(n.raw.RequestHeaders, names)
	return n
}

// ResponseHeaders asks for the response phase and these headers of responses.
func (n *Needs) ResponseHeaders(names ...string) *Needs {
	n.raw.ResponseHeaders = declare(n.raw.ResponseHeaders, names)
	return n.Response()
}

// BufferedRequestBody asks for whole request bodies. One of more than limit bytes is answered with 413.
func (n *Needs) BufferedRequestBody(limit uint32) *Needs {
	n.raw.RequestBody = raw.MakeBodyModeBuffered(limit)
	return n
}

// StreamedRequestBody asks for request bodies chunk by chunk.
func (n *Needs) StreamedRequestBody() *Needs {
	n.raw.RequestBody = raw.MakeBodyModeStreamed()
	return n
}

// BufferedResponseBody asks for the response phase and whole bodies. One of more than limit bytes is answered with 502.
func (n *Needs) BufferedResponseBody(limit uint32) *Needs {
	n.raw.ResponseBody = raw.MakeBodyModeBuffered(limit)
	return n.Response()
}

// StreamedResponseBody asks for the response phase and bodies chunk by chunk.
func (n *Needs) StreamedResponseBody() *Needs {
	n.raw.ResponseBody = raw.MakeBodyModeStreamed()
	return n.Response()
}

// BodyTypes asks for bodies of these media types alone, such as application/json, text/* or */*+json.
func (n *Needs) BodyTypes(types ...string) *Needs {
	n.raw.BodyTypes = append(n.raw.BodyTypes, types...)
	return n
}

// Client asks who was authenticated.
func (n *Needs) Client() *Needs {
	n.raw.Wants |= raw.WantsClient
	return n
}

// Claims asks for the client with the claims of its token.
func (n *Needs) Claims() *Needs {
	n.raw.Wants |= raw.WantsClient | raw.WantsClaims
	return n
}

// AllRequestHeaders asks for every header of requests.
func (n *Needs) AllRequestHeaders() *Needs {
	n.raw.Wants |= raw.WantsAllRequestHeaders
	return n
}

// AllResponseHeaders asks for the response phase and every header.
func (n *Needs) AllResponseHeaders() *Needs {
	n.raw.Wants |= raw.WantsAllResponseHeaders
	return n.Response()
}

// declare adds names. A header is shown by its place in the list, so each stands there once.
func declare(names []string, more []string) []string {
	for _, name := range more {
		if name = strings.ToLower(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
