//! Why a request head or a body's framing was refused, and the status that answers it.

use http::StatusCode;
use thiserror::Error;

/// A breach of HTTP/1 message syntax; the text is fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// The first line is not `method target version` with single spaces; HTTP/0.9 ends here too.
    #[error("the request line is malformed")]
    RequestLine,
    /// The method is not a token.
    #[error("the method is malformed")]
    Method,
    /// The target has bytes that must be escaped, or a form its method does not allow.
    #[error("the request target is malformed")]
    Target,
    /// The target is longer than the limit.
    #[error("the request target is too long")]
    TargetTooLong,
    /// A version other than 1.0 and 1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version,
    /// The head is longer than the limit.
    #[error("the request head is too large")]
    HeadTooLarge,
    /// More header lines than the limit.
    #[error("the request has too many header lines")]
    TooManyHeaders,
    /// A line that ends in LF without CR.
    #[error("a line ends without a carriage return")]
    BareLineFeed,
    /// NUL, a lone CR or another control character.
    #[error("the request head has a control character")]
    ControlCharacter,
    /// White space before the first header name.
    #[error("white space stands before the first header")]
    LeadingSpace,
    /// A header value continued on the next line.
    #[error("a header value is folded over two lines")]
    FoldedLine,
    /// White space between a header name and its colon.
    #[error("white space stands between a header name and its colon")]
    SpaceBeforeColon,
    /// A header name that is not a token, or a line without a colon.
    #[error("a header name is malformed")]
    HeaderName,
    /// HTTP/1.1 without Host.
    #[error("the host header is missing")]
    MissingHost,
    /// Two Host lines.
    #[error("the host header came more than once")]
    DuplicateHost,
    /// A Content-Length that is not one decimal number.
    #[error("the content length is not a number")]
    ContentLength,
    /// Two Content-Length lines, equal or not.
    #[error("the content length came more than once")]
    DuplicateContentLength,
    /// Content-Length beside Transfer-Encoding.
    #[error("the request has both a content length and a transfer encoding")]
    LengthAndEncoding,
    /// Transfer-Encoding on HTTP/1.0.
    #[error("HTTP/1.0 has no transfer encoding")]
    EncodingOnOldVersion,
    /// A Transfer-Encoding other than one `chunked`.
    #[error("the only transfer encoding taken is chunked")]
    TransferEncoding,
    /// A body on CONNECT.
    #[error("a CONNECT request has no body")]
    ConnectBody,
    /// The head did not arrive in time.
    #[error("the request head took too long to arrive")]
    HeadTimeout,
    /// A chunk whose size line or end is malformed.
    #[error("the chunked body is malformed")]
    Chunk,
    /// More chunk extensions than the limit.
    #[error("the chunk extensions are too long")]
    ChunkExtension,
    /// A malformed trailer line.
    #[error("a trailer is malformed")]
    Trailer,
    /// More trailers than the limit.
    #[error("the trailers are too large")]
    TrailersTooLarge,
}

impl Violation {
    /// The status that answers it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge | Self::TooManyHeaders | Self::TrailersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::RequestLine
            | Self::Method
            | Self::Target
            | Self::BareLineFeed
            | Self::ControlCharacter
            | Self::LeadingSpace
            | Self::FoldedLine
            | Self::SpaceBeforeColon
            | Self::HeaderName
            | Self::MissingHost
            | Self::DuplicateHost
            | Self::ContentLength
            | Self::DuplicateContentLength
            | Self::LengthAndEncoding
            | Self::EncodingOnOldVersion
            | Self::TransferEncoding
            | Self::ConnectBody
            | Self::Chunk
            | Self::ChunkExtension
            | Self::Trailer => StatusCode::BAD_REQUEST,
        }
    }
}
