//! What a plugin does to a request that goes on and to the response that comes back.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Client;
use crate::bindings::types as raw;
use crate::fields::field;
use crate::method;

/// Changes to a request that goes on, applied in order. Made by [`next`].
#[derive(Clone, Debug, Default)]
pub struct Changes {
    request: Vec<raw::Edit>,
    response: ResponseChanges,
    state: Option<Vec<u8>>,
}

/// Changes to a response, applied in order.
#[derive(Clone, Debug, Default)]
pub struct ResponseChanges(Vec<raw::ResponseEdit>);

/// Go on to the next plugin, with the changes that follow.
#[must_use]
pub fn next() -> Changes {
    Changes::new()
}

impl Changes {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces every line of that name by this one.
    #[must_use]
    pub fn set_header(self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.edit(raw::Edit::SetHeader(field(name, value)))
    }

    /// Adds a line and keeps those that are there.
    #[must_use]
    pub fn add_header(self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.edit(raw::Edit::AddHeader(field(name, value)))
    }

    /// Removes every line of that name.
    #[must_use]
    pub fn remove_header(self, name: impl Into<String>) -> Self {
        self.edit(raw::Edit::RemoveHeader(name.into()))
    }

    /// Changes the method.
    #[must_use]
    pub fn set_method(self, name: &str) -> Self {
        self.edit(raw::Edit::SetMethod(method::parse(name)))
    }

    /// Changes the path and the query. Starts with `/`. The route stays as it was chosen.
    #[must_use]
    pub fn set_path_and_query(self, path_and_query: impl Into<String>) -> Self {
        self.edit(raw::Edit::SetPathWithQuery(path_and_query.into()))
    }

    /// Replaces the body, for a plugin whose request body is buffered.
    #[must_use]
    pub fn set_body(self, body: impl Into<Vec<u8>>) -> Self {
        self.edit(raw::Edit::SetBody(body.into()))
    }

    /// Says who the caller is. Needs the grant `identity`.
    #[must_use]
    pub fn set_client(self, client: Client) -> Self {
        self.edit(raw::Edit::SetClient(client.into()))
    }

    /// Replaces the request id in logs and in the gateway's own answers: 1 to 128 visible ASCII characters.
    #[must_use]
    pub fn set_request_id(self, id: impl Into<String>) -> Self {
        self.edit(raw::Edit::SetRequestId(id.into()))
    }

    /// Lowers the limit on the request body to so many bytes. A longer one is answered with 413; the plugin is shown no body
    /// for this.
    #[must_use]
    pub fn limit_body(self, limit: u64) -> Self {
        self.edit(raw::Edit::LimitBody(limit))
    }

    /// Applies these to whatever response comes back, after those given before. No response phase is needed.
    #[must_use]
    pub fn on_response(mut self, changes: ResponseChanges) -> Self {
        self.response.0.extend(changes.0);
        self
    }

    /// Sets a header of whatever response comes back.
    #[must_use]
    pub fn on_response_set_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.response = self.response.set_header(name, value);
        self
    }

    /// Adds a header line to whatever response comes back.
    #[must_use]
    pub fn on_response_add_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.response = self.response.add_header(name, value);
        self
    }

    /// Removes a header from whatever response comes back.
    #[must_use]
    pub fn on_response_remove_header(mut self, name: impl Into<String>) -> Self {
        self.response = self.response.remove_header(name);
        self
    }

    /// Limits the body of whatever response comes back to so many bytes: 502 for one that is known to be longer, cut off
    /// where it turns out to be.
    #[must_use]
    pub fn on_response_limit_body(mut self, limit: u64) -> Self {
        self.response = self.response.limit_body(limit);
        self
    }

    /// Keeps this for the response phase of this request. 64 KiB at most.
    #[must_use]
    pub fn state(mut self, state: impl Into<Vec<u8>>) -> Self {
        self.state = Some(state.into());
        self
    }

    fn edit(mut self, edit: raw::Edit) -> Self {
        self.request.push(edit);
        self
    }

    pub(crate) fn into_raw(self) -> raw::Changes {
        raw::Changes { request: self.request, response: self.response.0, state: self.state }
    }
}

impl ResponseChanges {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces every line of that name by this one.
    #[must_use]
    pub fn set_header(self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.edit(raw::ResponseEdit::SetHeader(field(name, value)))
    }

    /// Adds a line and keeps those that are there.
    #[must_use]
    pub fn add_header(self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.edit(raw::ResponseEdit::AddHeader(field(name, value)))
    }

    /// Removes every line of that name.
    #[must_use]
    pub fn remove_header(self, name: impl Into<String>) -> Self {
        self.edit(raw::ResponseEdit::RemoveHeader(name.into()))
    }

    /// Changes the status.
    #[must_use]
    pub fn set_status(self, status: u16) -> Self {
        self.edit(raw::ResponseEdit::SetStatus(status))
    }

    /// Replaces the body, for a plugin whose response body is buffered.
    #[must_use]
    pub fn set_body(self, body: impl Into<Vec<u8>>) -> Self {
        self.edit(raw::ResponseEdit::SetBody(body.into()))
    }

    /// Limits the body to so many bytes: 502 for one that is known to be longer, cut off where it turns out to be.
    #[must_use]
    pub fn limit_body(self, limit: u64) -> Self {
        self.edit(raw::ResponseEdit::LimitBody(limit))
    }

    fn edit(mut self, edit: raw::ResponseEdit) -> Self {
        self.0.push(edit);
        self
    }

    pub(crate) fn into_raw(self) -> Vec<raw::ResponseEdit> {
        self.0
    }
}
