//! What commands need to talk to a running gateway.

use std::path::PathBuf;

use clap::Args;
use http::Uri;

use crate::admin::client::Client;
use crate::admin::tokens::read_token_file;

/// Where the admin API is, and the right to use it.
#[derive(Args)]
pub struct AdminArgs {
    /// Where the admin API of the gateway is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9080", env = "GATEHOUSE_ADMIN")]
    admin: Uri,
    /// A file with a token for it, instead of GATEHOUSE_ADMIN_TOKEN
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// The authorities that vouch for it, instead of those that this machine trusts
    #[arg(long, value_name = "FILE")]
    admin_ca: Option<PathBuf>,
}

impl AdminArgs {
    /// The API as it can be talked to, or why it cannot.
    pub fn client(&self) -> Result<Client, String> {
        let token = match &self.admin_token_file {
            Some(path) => read_token_file(path).map_err(|error| format!("{}: {error}", path.display()))?,
            None => std::env::var("GATEHOUSE_ADMIN_TOKEN").map_err(|_| "set GATEHOUSE_ADMIN_TOKEN, or say --admin-token-file")?,
        };
        Client::new(self.admin.clone(), token, self.admin_ca.as_deref()).map_err(|error| error.to_string())
    }
}
