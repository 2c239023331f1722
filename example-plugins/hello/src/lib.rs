//! The smallest useful plugin: says hello to the upstream and to the client.

use gatehouse_plugin::{NoConfig, Plugin, Request, Result, Verdict, next};

struct Hello;

impl Plugin for Hello {
    type Config = NoConfig;

    fn new(_config: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let from = request.address().to_string();
        Ok(next().set_header("x-hello-from", from).on_response_set_header("x-hello", "world").into())
    }
}

gatehouse_plugin::export!(Hello);

#[cfg(test)]
mod tests {
    use gatehouse_plugin::testing::{self, Answer, Request};

    use super::Hello;

    #[test]
    fn both_sides_are_greeted() {
        let plugin = testing::configure::<Hello>("{}").unwrap();
        let forwarded = plugin.send(Request::get("/")).forwarded();
        assert_eq!(forwarded.header("x-hello-from"), Some("192.0.2.1"), "the upstream learns the address");
        let answer = forwarded.respond(Answer::new(200));
        assert_eq!(answer.header("x-hello"), Some("world"), "the client is greeted");
    }
}
