// {{name}} greets the upstream on every request, and answers /hello itself.
package main

import "gatehouse"

type plugin struct {
	gatehouse.Base
	greeting string
}

type config struct {
	Greeting string `json:"greeting"`
}

func (p plugin) OnRequest(request *gatehouse.Request) (gatehouse.Verdict, error) {
	if request.Path() == "/hello" {
		return gatehouse.Respond(200).Text(p.greeting + " from {{name}}\n"), nil
	}
	return gatehouse.Next().SetHeader("x-greeting", p.greeting), nil
}

func init() {
	gatehouse.Register(func(config config) (gatehouse.Plugin, error) {
		if config.Greeting == "" {
			config.Greeting = "hello"
		}
		return plugin{greeting: config.Greeting}, nil
	})
}

func main() {}
