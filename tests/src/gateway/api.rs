//! The admin API as a client with the operator's token uses it.

use serde_json::Value;

use super::Gateway;
use super::setup::ADMIN_TOKEN;
use crate::{
    client::{Client, ask},
    request::{Request, get, request},
    response::Response,
};

impl Gateway {
    /// Sends a request to the admin API, with the operator's token.
    #[track_caller]
    pub fn api(&self, request: Request) -> impl Future<Output = Response> {
        self.api_as(ADMIN_TOKEN, request)
    }

    /// The same, with another token.
    #[track_caller]
    pub fn api_as(&self, token: &str, request: Request) -> impl Future<Output = Response> {
        ask(self.listener("admin"), authorized(token, request))
    }

    /// Sends JSON to the admin API on a connection of the test's own, which may be used again.
    pub async fn api_send_on(&self, connection: &mut Client, method: &str, target: &str, body: &Value) -> Response {
        connection.ask(&authorized(ADMIN_TOKEN, json(method, target, body))).await
    }

    /// Gets something from the admin API.
    #[track_caller]
    pub fn api_get(&self, target: &str) -> impl Future<Output = Response> {
        self.api(get(target))
    }

    /// Sends JSON to the admin API.
    #[track_caller]
    pub fn api_send(&self, method: &str, target: &str, body: &Value) -> impl Future<Output = Response> {
        self.api(json(method, target, body))
    }

    /// Deletes something by the admin API.
    #[track_caller]
    pub fn api_delete(&self, target: &str) -> impl Future<Output = Response> {
        self.api(request("DELETE", target))
    }
}

fn authorized(token: &str, request: Request) -> Request {
    request.header("authorization", &format!("Bearer {token}"))
}

fn json(method: &str, target: &str, body: &Value) -> Request {
    request(method, target).header("content-type", "application/json").body(body.to_string())
}
