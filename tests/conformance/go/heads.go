package main

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"gatehouse"
)

// answer is the reply of an action on heads that answers; nil for any other.
func answer(action string, request *gatehouse.Request) *gatehouse.Reply {
	switch action {
	case "describe":
		return text(strings.Join([]string{request.Method(), request.Scheme(), request.PathAndQuery(), request.Address().String()}, " "))
	case "multi":
		if lines := request.HeaderLines("x-in"); len(lines) > 0 {
			return text(strings.Join(lines, "|"))
		}
		return text("-")
	case "others":
		return text(others(request))
	case "client":
		return text(described(request.Client()))
	case "set-client":
		if request.Client() != nil {
			return text(described(request.Client()))
		}
	case "respond":
		return gatehouse.Respond(418).Header("x-a", "1").Header("x-a", "2").Body([]byte("short and stout"))
	case "nothing":
		return gatehouse.Respond(204)
	case "bytes":
		return gatehouse.Respond(200).Header("content-type", "application/octet-stream").Body(allBytes())
	case "problem":
		return gatehouse.Problem(403, "Forbidden", `as "asked"`)
	}
	return nil
}

func text(text string) *gatehouse.Reply {
	return gatehouse.Respond(200).Body([]byte(text))
}

func others(request *gatehouse.Request) string {
	var lines []string
	for name, value := range request.All() {
		lines = append(lines, name+": "+value)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func described(client *gatehouse.Client) string {
	if client == nil {
		return "nobody"
	}
	return strings.Join([]string{client.Name, client.Method, strings.Join(client.Scopes, ","), orDash(client.Plan)}, " ")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func allBytes() []byte {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return bytes.Repeat(every, 1000)
}

// change is what an action does to a request that goes on.
func change(action string, request *gatehouse.Request) *gatehouse.Changes {
	next := gatehouse.Next()
	switch action {
	case "edit":
		next.SetHeader("x-in", "new").AddHeader("x-out", "one").AddHeader("x-out", "two").RemoveHeader("x-gone")
		next.OnResponse(gatehouse.NextResponse().SetHeader("x-late", "1").AddHeader("x-late", "2").RemoveHeader("x-gone"))
	case "binary":
		next.SetHeader("x-out", request.Header("x-in")).OnResponseSetHeader("x-out", request.Header("x-in"))
	case "rewrite":
		next.SetMethod("PURGE").SetPathAndQuery("/changed?by=plugin")
	case "set-client":
		next.SetClient(gatehouse.Client{Name: "kit", Method: "reference", Scopes: []string{"a", "b"}, Plan: "gold"})
	case "request-id":
		next.SetRequestID("kit-1")
	case "limit-body":
		next.LimitBody(10)
	case "forbidden":
		next.SetHeader("content-length", "1")
	case "upper":
		if body, shown := request.Body(); shown {
			return next.SetHeader("x-length", strconv.Itoa(len(body))).SetBody(upper(body))
		}
		next.SetHeader("x-length", "-")
	}
	return next
}
