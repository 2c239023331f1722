package gatehouse

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"

	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
	"gatehouse/internal/convert"
	"gatehouse/internal/wit/types"
)

// Request is a request, as far as the plugin declared that it needs to see it.
type Request struct {
	Headers
	raw *raw.Request
}

func newRequest(request *raw.Request, names []string) *Request {
	return &Request{Headers{names, request.Headers, request.Others.SomeOr(nil)}, request}
}

// ID is the request id: 32 hexadecimal digits.
func (r *Request) ID() string {
	return hexadecimal(r.raw.Id)
}

// Method is GET, POST … Case-sensitive (RFC 9110 section 9.1).
func (r *Request) Method() string {
	return convert.MethodName(r.raw.Method)
}

// Scheme is how the client reached the gateway: http or https.
func (r *Request) Scheme() string {
	if r.raw.Scheme == raw.SchemeHttps {
		return "https"
	}
	return "http"
}

// PathAndQuery is the path, normalised, with its query.
func (r *Request) PathAndQuery() string {
	return r.raw.PathWithQuery
}

// Path is the path, normalised, without the query.
func (r *Request) Path() string {
	path, _, _ := strings.Cut(r.raw.PathWithQuery, "?")
	return path
}

// Query is what stands after the question mark, and whether there is one.
func (r *Request) Query() (string, bool) {
	_, query, found := strings.Cut(r.raw.PathWithQuery, "?")
	return query, found
}

// Address is the client's address, after trusted_proxies.
func (r *Request) Address() netip.Addr {
	var bytes [16]byte
	if r.raw.Address.Tag() == raw.IpAddressIpv4 {
		binary.BigEndian.PutUint32(bytes[:], r.raw.Address.Ipv4())
		return netip.AddrFrom4([4]byte(bytes[:4]))
	}
	halves := r.raw.Address.Ipv6()
	binary.BigEndian.PutUint64(bytes[:], halves.F0)
	binary.BigEndian.PutUint64(bytes[8:], halves.F1)
	return netip.AddrFrom16(bytes)
}

// Client is who was authenticated by the plugins before this one, if the plugin asked; else nil.
func (r *Request) Client() *Client {
	return newClient(r.raw.Client)
}

// Body is the whole body, and whether it was shown: the plugin asked for it buffered.
func (r *Request) Body() ([]byte, bool) {
	return r.raw.Body.SomeOr(nil), r.raw.Body.IsSome()
}

// Response is a response, as far as the plugin declared that it needs to see it.
type Response struct {
	Headers
	raw *raw.Response
}

func newResponse(response *raw.Response, names []string) *Response {
	return &Response{Headers{names, response.Headers, response.Others.SomeOr(nil)}, response}
}

// ID is the request id: 32 hexadecimal digits.
func (r *Response) ID() string {
	return hexadecimal(r.raw.Id)
}

// Status is the status code.
func (r *Response) Status() int {
	return int(r.raw.Status)
}

// Client is who was authenticated, if the plugin asked; else nil.
func (r *Response) Client() *Client {
	return newClient(r.raw.Client)
}

// State is what this plugin kept for this request with [Changes.State].
func (r *Response) State() []byte {
	return r.raw.State.SomeOr(nil)
}

// FromGateway says whether the gateway itself made this answer (no route, no endpoint, a fault …).
func (r *Response) FromGateway() bool {
	return r.raw.FromGateway
}

// Body is the whole body, and whether it was shown: the plugin asked for it buffered.
func (r *Response) Body() ([]byte, bool) {
	return r.raw.Body.SomeOr(nil), r.raw.Body.IsSome()
}

func hexadecimal(id wit_types.Tuple2[uint64, uint64]) string {
	bytes := binary.BigEndian.AppendUint64(nil, id.F0)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(bytes, id.F1))
}
