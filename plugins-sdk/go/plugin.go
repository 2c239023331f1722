// Package gatehouse is for writing Gatehouse plugins in Go: one interface, one call of Register, and a package for each
// capability. What the values mean is in the contract, wit/, whose comments are the author's manual.
//
//	type hello struct{ gatehouse.Base }
//
//	func (hello) OnRequest(request *gatehouse.Request) (gatehouse.Verdict, error) {
//		return gatehouse.Next().OnResponseSetHeader("x-hello", "world"), nil
//	}
//
//	func init() {
//		gatehouse.Register(func(gatehouse.NoConfig) (gatehouse.Plugin, error) { return hello{}, nil })
//	}
//
//	func main() {}
package gatehouse

// Plugin is made once per instance from its configuration, then called for each request. Embed [Base] and define those
// methods you want.
//
// Instances are pooled and the phases of one request may run on different ones: what the response phase must know goes
// into [Changes.State], what requests share into the package kv. An error in a phase is a fault: the instance is dropped
// and the plugin's on_error decides. So is a panic.
type Plugin interface {
	// Needs says what the plugin wants to see. The gateway shows nothing else and calls no other phase.
	Needs() *Needs
	// OnRequest decides about a request: [Next] with changes, or a [Reply].
	OnRequest(request *Request) (Verdict, error)
	// OnRequestBody takes one chunk of a streamed request body. The last call's chunk may be empty.
	OnRequestBody(chunk []byte, last bool) (Chunk, error)
	// OnResponse decides about a response, the gateway's own error answers among them.
	OnResponse(response *Response) (ResponseVerdict, error)
	// OnResponseBody takes one chunk of a streamed response body. A Reply is a fault here.
	OnResponseBody(chunk []byte, last bool) (Chunk, error)
}

// Base is a plugin that changes nothing. Every phase has its default from here.
type Base struct{}

// NoConfig is the configuration of a plugin that has none. Any key is refused.
type NoConfig struct{}

// Needs asks for nothing but the request phase.
func (Base) Needs() *Needs { return NewNeeds() }

// OnRequest goes on.
func (Base) OnRequest(*Request) (Verdict, error) { return Next(), nil }

// OnRequestBody passes the chunk.
func (Base) OnRequestBody([]byte, bool) (Chunk, error) { return Pass(), nil }

// OnResponse goes on.
func (Base) OnResponse(*Response) (ResponseVerdict, error) { return NextResponse(), nil }

// OnResponseBody passes the chunk.
func (Base) OnResponseBody([]byte, bool) (Chunk, error) { return Pass(), nil }
