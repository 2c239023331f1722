//! `{{name}}`: greets the upstream on every request, and answers `/hello` itself.

use gatehouse_plugin::{Plugin, Reply, Request, Result, Verdict, next, respond};
use serde::Deserialize;

struct {{Name}} {
    greeting: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "hello".into()
}

impl Plugin for {{Name}} {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        Ok(Self { greeting: config.greeting })
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        if request.path() == "/hello" {
            return Ok(respond(Reply::new(200).text(format!("{} from {{name}}\n", self.greeting))));
        }
        Ok(next().set_header("x-greeting", self.greeting.as_str()).into())
    }
}

gatehouse_plugin::export!({{Name}});
