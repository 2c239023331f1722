package gatehouse

import (
	raw "gatehouse/internal/bindings/gatehouse_plugin_types"
)

// Verdict is what becomes of a request: *Changes, from [Next], or *Reply.
type Verdict interface{ requestVerdict() raw.RequestVerdict }

// ResponseVerdict is what becomes of a response: *ResponseChanges, from [NextResponse], or *Reply.
type ResponseVerdict interface{ responseVerdict() raw.ResponseVerdict }

// Chunk is what becomes of a chunk: [Pass], [Replace], or, in a request body, *Reply.
type Chunk interface{ chunkVerdict() raw.ChunkVerdict }

type pass struct{}

type replace []byte

// Pass forwards a chunk as it came. Nothing is copied back.
func Pass() Chunk { return pass{} }

// Replace forwards these bytes in a chunk's place; none at all to hold it back.
func Replace(bytes []byte) Chunk { return replace(bytes) }

func (pass) chunkVerdict() raw.ChunkVerdict { return raw.MakeChunkVerdictPass() }

func (r replace) chunkVerdict() raw.ChunkVerdict { return raw.MakeChunkVerdictReplace(r) }

func (c *Changes) requestVerdict() raw.RequestVerdict { return raw.MakeRequestVerdictNext(c.raw) }

func (r *Reply) requestVerdict() raw.RequestVerdict { return raw.MakeRequestVerdictRespond(r.raw) }

func (c *ResponseChanges) responseVerdict() raw.ResponseVerdict {
	return raw.MakeResponseVerdictNext(c.edits)
}

func (r *Reply) responseVerdict() raw.ResponseVerdict { return raw.MakeResponseVerdictRespond(r.raw) }

func (r *Reply) chunkVerdict() raw.ChunkVerdict { return raw.MakeChunkVerdictRespond(r.raw) }
