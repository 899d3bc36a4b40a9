//! What the transcoder itself refuses, as a gRPC status with the HTTP status it is answered with.

use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::codec::Refusal;

/// A request that ends in a status.
#[derive(Debug)]
pub struct Failure {
    /// The status, with details.
    pub status: Status,
    /// The HTTP status; `None` for the one that goes with the code.
    pub http: Option<StatusCode>,
    /// Headers to answer with.
    pub headers: HeaderMap,
    /// Of the answer that brought the status.
    pub extensions: Extensions,
}

impl Failure {
    fn new(http: StatusCode, code: Code, reason: &str, domain: &str, message: impl Into<String>) -> Self {
        let details = ErrorDetails::with_error_info(reason, domain, []);
        let status = Status::with_error_details(code, message, details);
        Self { http: Some(http), ..Self::from(status) }
    }

    /// 400 naming the field at fault.
    pub(super) fn field(domain: &str, refusal: Refusal) -> Self {
        let Refusal { field, problem } = refusal;
        let message = if field.is_empty() { problem.clone() } else { format!("{field}: {problem}") };
        let mut details = ErrorDetails::with_error_info("INVALID_REQUEST", domain, []);
        details.add_bad_request_violation(field, problem);
        Self::from(Status::with_error_details(Code::InvalidArgument, message, details))
    }

    /// 400 about something that is no field.
    pub fn malformed(domain: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, "MALFORMED_REQUEST", domain, message)
    }

    pub(super) fn no_such_path(domain: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Code::NotFound,
            "NO_SUCH_PATH",
            domain,
            "there is nothing at this path",
        )
    }

    pub fn wrong_method(domain: &str, allowed: &[Method]) -> Self {
        let http = StatusCode::METHOD_NOT_ALLOWED;
        let mut failure = Self::new(
            http,
            Code::Unimplemented,
            "METHOD_NOT_ALLOWED",
            domain,
            "this path has no such method",
        );
        failure.headers.insert(header::ALLOW, allow(allowed));
        failure
    }

    pub(super) fn unsupported(domain: &str, message: impl Into<String>) -> Self {
        let http = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(http, Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", domain, message)
    }

    pub(super) fn not_acceptable(domain: &str, offered: &str) -> Self {
        let message = format!("the answer is {offered}, which Accept excludes");
        Self::new(StatusCode::NOT_ACCEPTABLE, Code::InvalidArgument, "NOT_ACCEPTABLE", domain, message)
    }

    pub fn too_large(domain: &str, limit: usize) -> Self {
        let (http, code) = (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted);
        Self::new(http, code, "REQUEST_TOO_LARGE", domain, format!("the body is larger than {limit} bytes"))
    }

    pub fn too_slow(domain: &str) -> Self {
        let (http, code) = (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded);
        Self::new(http, code, "REQUEST_TOO_SLOW", domain, "the body took too long to arrive")
    }

    pub(super) fn long_uri(domain: &str, limit: usize) -> Self {
        let message = format!("the URI is longer than {limit} bytes");
        Self::new(StatusCode::URI_TOO_LONG, Code::InvalidArgument, "URI_TOO_LONG", domain, message)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { status, http: None, headers: HeaderMap::new(), extensions: Extensions::new() }
    }
}

/// The value of an `Allow` header: HEAD goes with GET, OPTIONS with everything.
pub(super) fn allow(methods: &[Method]) -> HeaderValue {
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    HeaderValue::from_str(&names.join(", ")).expect("method names are valid header text")
}

/// The status of a call that outlived its deadline.
pub(super) fn deadline_exceeded(domain: &str) -> Status {
    let details = ErrorDetails::with_error_info("DEADLINE_EXCEEDED", domain, []);
    Status::with_error_details(Code::DeadlineExceeded, "the deadline passed", details)
}
