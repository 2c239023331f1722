//! Labels whose values are a closed list. Each value is a place in a block, so counting one costs no look-up.

/// Defines an enum whose variants are the values of a label, in the order of their places.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$note])* #[doc = concat!("`", $text, "`")] $variant,)+ }

        impl $name {
            /// Every value, in the order of their places.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Number of values.
            pub const COUNT: usize = Self::ALL.len();

            /// The value as it is published.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

label! {
    /// Request methods; anything but the registered ones is `_OTHER`, because the client chooses it.
    Method {
        Get => "GET",
        Head => "HEAD",
        Post => "POST",
        Put => "PUT",
        Delete => "DELETE",
        Connect => "CONNECT",
        Options => "OPTIONS",
        Trace => "TRACE",
        Patch => "PATCH",
        Other => "_OTHER",
    }
}

label! {
    /// The first digit of a status.
    StatusClass {
        Informational => "1xx",
        Success => "2xx",
        Redirection => "3xx",
        ClientError => "4xx",
        ServerError => "5xx",
    }
}

label! {
    /// Why a request ended before the last byte of its answer.
    Break {
        ClientGone => "client_gone",
        UpstreamReset => "upstream_reset",
        UpstreamTimeout => "upstream_timeout",
        /// The answer was longer than a plugin on its way allows.
        TooLarge => "body_too_large",
    }
}

label! {
    /// What became of a copy of a request.
    MirrorResult {
        Answered => "answered",
        Failed => "failed",
        /// Too many copies were under way.
        Busy => "busy",
        TooLarge => "too_large",
        /// The request's own body did not come to its end.
        Incomplete => "incomplete",
    }
}

label! {
    /// The part of a request that a plugin call worked on.
    Phase {
        Request => "request",
        RequestBody => "request_body",
        Response => "response",
        ResponseBody => "response_body",
    }
}

label! {
    /// Why a plugin call came to nothing.
    FaultReason {
        Trap => "trap",
        Timeout => "timeout",
        Memory => "memory",
        /// An answer that the gateway may not act on.
        InvalidAnswer => "invalid_answer",
        /// The plugin itself said that it failed.
        Failed => "failed",
        Unavailable => "unavailable",
    }
}

label! {
    /// What an instance of a plugin is doing.
    InstanceState {
        Idle => "idle",
        Busy => "busy",
    }
}

label! {
    /// The outcome of asking for tokens.
    LimitResult {
        Allowed => "allowed",
        Limited => "limited",
    }
}

label! {
    /// Who decided about tokens.
    LimitSource {
        Local => "local",
        Lease => "lease",
        Fallback => "fallback",
    }
}

label! {
    /// How a client showed who it is.
    AuthMethod {
        Jwt => "jwt",
        Key => "api-key",
        Introspection => "introspection",
        Basic => "basic-auth",
    }
}

label! {
    /// What became of a credential.
    AuthResult {
        Accepted => "accepted",
        Malformed => "malformed",
        UnknownIssuer => "unknown_issuer",
        BadSignature => "bad_signature",
        Expired => "expired",
        NotYetValid => "not_yet_valid",
        WrongAudience => "wrong_audience",
        BadClaims => "bad_claims",
        /// No such key, or no longer active.
        Unknown => "unknown",
        /// Nobody could be asked, or the issuer's keys are missing.
        Unavailable => "unavailable",
    }
}

impl Method {
    /// The label of a method.
    #[inline]
    pub fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }
}

impl StatusClass {
    /// The class of a status; what is out of range counts as a server error.
    #[inline]
    pub fn of(status: u16) -> Self {
        match status {
            100..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registered_methods_have_a_label_of_their_own() {
        for method in &Method::ALL[..Method::COUNT - 1] {
            assert_eq!(Method::of(method.as_str()), *method, "a registered method");
        }
        for unknown in ["get", "BREW", "", "_OTHER", "GETX"] {
            assert_eq!(Method::of(unknown), Method::Other, "{unknown:?} is not registered");
        }
    }

    #[test]
    fn a_status_counts_in_the_class_of_its_first_digit() {
        for (status, class) in [(100, "1xx"), (200, "2xx"), (299, "2xx"), (304, "3xx"), (429, "4xx"), (503, "5xx")] {
            assert_eq!(StatusClass::of(status).as_str(), class, "class of {status}");
        }
        assert_eq!(StatusClass::of(999).as_str(), "5xx", "out of range");
    }
}
