//! Why a rule of the config is refused. Each message names the value and what to write instead.

use thiserror::Error;

/// A host, path, header or query condition that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RuleError {
    /// A host of no characters.
    #[error("the host is empty; leave `hosts` out to serve every host")]
    EmptyHost,
    /// A bare `*`.
    #[error("`*` is not a host; leave `hosts` out to serve every host")]
    BareWildcard,
    /// A `*` anywhere but as the whole first label.
    #[error("host `{0}` has a `*` in the wrong place; only a leading `*.` is a wildcard")]
    MisplacedWildcard(String),
    /// A host with a port.
    #[error("host `{0}` has a port; rules match on the name alone")]
    HostPort(String),
    /// An address in place of a name.
    #[error("host `{0}` is an IP address; only names can be matched")]
    HostAddress(String),
    /// Two dots in a row, or one in front.
    #[error("host `{0}` has an empty label")]
    EmptyLabel(String),
    /// A label that DNS would not carry.
    #[error(
        "host `{host}` has the label `{label}`; labels are 1 to 63 letters, digits, `-` or `_`, with no `-` at either end, and other scripts are written as `xn--…`"
    )]
    BadLabel {
        /// The whole host.
        host: String,
        /// The label at fault.
        label: String,
    },
    /// A host longer than DNS allows.
    #[error("host `{0}` is longer than 253 characters")]
    LongHost(String),
    /// A path that is not absolute.
    #[error("path `{0}` does not start with `/`")]
    RelativePath(String),
    /// A path with something in it that no normalised path has.
    #[error("path `{path}` has `{found}`, which no normalised request path has")]
    PathNeverMatches {
        /// The whole path.
        path: String,
        /// The part at fault.
        found: String,
    },
    /// A regular expression that does not parse or grows too large.
    #[error("`{pattern}` is not a usable regular expression: {reason}")]
    BadPattern {
        /// The expression as given.
        pattern: String,
        /// What the parser or compiler says.
        reason: String,
    },
    /// A path expression whose every match starts with something other than `/`.
    #[error("`{0}` can never match: request paths start with `/` and the expression covers the whole path")]
    RelativePattern(String),
    /// A header name with characters that HTTP does not allow.
    #[error("`{0}` is not a header name")]
    BadHeaderName(String),
    /// A header value that no request can carry.
    #[error("`{value}` can never be the value of header `{name}`: no control characters, no spaces at either end")]
    BadHeaderValue {
        /// The header's name.
        name: String,
        /// The value as given.
        value: String,
    },
    /// A query condition without a name.
    #[error("the query parameter has no name")]
    EmptyQueryName,
}
