package gatehouse

import (
	"encoding/json"

	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
	"gatehouse/internal/convert"
)

// Reply is an answer by the plugin itself. The gateway adds the framing.
type Reply struct {
	raw raw.Reply
}

// Respond answers with this status, 200 to 599.
func Respond(status int) *Reply { return &Reply{raw.Reply{Status: uint16(status)}} }

// Problem answers with an error as application/problem+json (RFC 9457).
func Problem(status int, title, detail string) *Reply {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", title, status, detail})
	if err != nil {
		panic(err) // texts and a number always have a form
	}
	return Respond(status).Header("content-type", "application/problem+json").Body(body)
}

// Header adds a header line.
func (r *Reply) Header(name, value string) *Reply {
	r.raw.Headers = append(r.raw.Headers, convert.Field(name, value))
	return r
}

// Body sets the body.
func (r *Reply) Body(body []byte) *Reply {
	r.raw.Body = body
	return r
}

// Text sets the body to a text, as text/plain.
func (r *Reply) Text(text string) *Reply {
	return r.Header("content-type", "text/plain; charset=utf-8").Body([]byte(text))
}

// JSON sets the body to a value that encoding/json can write. One that it cannot is a bug of the plugin's, and a panic.
func (r *Reply) JSON(value any) *Reply {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return r.Header("content-type", "application/json").Body(body)
}
