package gatehouse

import (
	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
	"gatehouse/internal/convert"
	"gatehouse/internal/wit/types"
)

// Changes are what a plugin does to a request that goes on, and to the response that comes back. They apply in order.
type Changes struct {
	raw raw.Changes
}

// Next goes on to the next plugin, then the upstream.
func Next() *Changes { return &Changes{} }

// SetHeader replaces every line of that name by this one.
func (c *Changes) SetHeader(name, value string) *Changes {
	return c.edit(raw.MakeEditSetHeader(convert.Field(name, value)))
}

// AddHeader adds a line and keeps those that are there.
func (c *Changes) AddHeader(name, value string) *Changes {
	return c.edit(raw.MakeEditAddHeader(convert.Field(name, value)))
}

// RemoveHeader removes every line of that name.
func (c *Changes) RemoveHeader(name string) *Changes { return c.edit(raw.MakeEditRemoveHeader(name)) }

// SetMethod changes the method.
func (c *Changes) SetMethod(name string) *Changes {
	return c.edit(raw.MakeEditSetMethod(convert.Method(name)))
}

// SetPathAndQuery changes the path, which starts with a slash, and its query. The route stays as it was chosen.
func (c *Changes) SetPathAndQuery(pathAndQuery string) *Changes {
	return c.edit(raw.MakeEditSetPathWithQuery(pathAndQuery))
}

// SetBody replaces the body. Only for a plugin whose request body is buffered or whose request has none.
func (c *Changes) SetBody(body []byte) *Changes { return c.edit(raw.MakeEditSetBody(body)) }

// SetClient says who the caller is. Needs the grant identity.
func (c *Changes) SetClient(client Client) *Changes {
	return c.edit(raw.MakeEditSetClient(client.raw()))
}

// SetRequestID replaces the request id: 1 to 128 visible ASCII characters.
func (c *Changes) SetRequestID(id string) *Changes { return c.edit(raw.MakeEditSetRequestId(id)) }

// LimitBody lowers the limit on the request body to so many bytes.
func (c *Changes) LimitBody(limit uint64) *Changes { return c.edit(raw.MakeEditLimitBody(limit)) }

// OnResponse makes these changes to whatever response comes back. Cheaper than a response phase.
func (c *Changes) OnResponse(changes *ResponseChanges) *Changes {
	c.raw.Response = append(c.raw.Response, changes.edits...)
	return c
}

// OnResponseSetHeader is [Changes.OnResponse] with [ResponseChanges.SetHeader].
func (c *Changes) OnResponseSetHeader(name, value string) *Changes {
	return c.OnResponse(NextResponse().SetHeader(name, value))
}

// State keeps this for the response phase, 64 KiB at most.
func (c *Changes) State(state []byte) *Changes {
	c.raw.State = wit_types.Some(state)
	return c
}

func (c *Changes) edit(edit raw.Edit) *Changes {
	c.raw.Request = append(c.raw.Request, edit)
	return c
}

// ResponseChanges are what a plugin does to a response. They apply in order.
type ResponseChanges struct {
	edits []raw.ResponseEdit
}

// NextResponse goes on to the plugin before this one, then the client.
func NextResponse() *ResponseChanges { return &ResponseChanges{} }

// SetHeader replaces every line of that name by this one.
func (c *ResponseChanges) SetHeader(name, value string) *ResponseChanges {
	return c.edit(raw.MakeResponseEditSetHeader(convert.Field(name, value)))
}

// AddHeader adds a line and keeps those that are there.
func (c *ResponseChanges) AddHeader(name, value string) *ResponseChanges {
	return c.edit(raw.MakeResponseEditAddHeader(convert.Field(name, value)))
}

// RemoveHeader removes every line of that name.
func (c *ResponseChanges) RemoveHeader(name string) *ResponseChanges {
	return c.edit(raw.MakeResponseEditRemoveHeader(name))
}

// SetStatus changes the status.
func (c *ResponseChanges) SetStatus(status int) *ResponseChanges {
	return c.edit(raw.MakeResponseEditSetStatus(uint16(status)))
}

// SetBody replaces the body. Only for a plugin whose response body is buffered.
func (c *ResponseChanges) SetBody(body []byte) *ResponseChanges {
	return c.edit(raw.MakeResponseEditSetBody(body))
}

// LimitBody limits the body to so many bytes.
func (c *ResponseChanges) LimitBody(limit uint64) *ResponseChanges {
	return c.edit(raw.MakeResponseEditLimitBody(limit))
}

func (c *ResponseChanges) edit(edit raw.ResponseEdit) *ResponseChanges {
	c.edits = append(c.edits, edit)
	return c
}
