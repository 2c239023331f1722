// The smallest useful plugin: says hello to the upstream and to the client.
package main

import "gatehouse"

type hello struct{ gatehouse.Base }

func (hello) OnRequest(request *gatehouse.Request) (gatehouse.Verdict, error) {
	return gatehouse.Next().SetHeader("x-hello-from", request.Address().String()).OnResponseSetHeader("x-hello", "world"), nil
}

func init() {
	gatehouse.Register(func(gatehouse.NoConfig) (gatehouse.Plugin, error) { return hello{}, nil })
}

func main() {}
