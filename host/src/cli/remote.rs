//! What commands need to talk to a running gateway.

use std::path::PathBuf;
use std::process::ExitCode;

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

/// Prints what came of a command. Exit 0, or 1 with the reason on the standard error.
pub fn finish(done: Result<String, String>) -> ExitCode {
    match done {
        Ok(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("gatehouse: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// A name as a part of a path or a query.
pub fn encoded(name: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
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
