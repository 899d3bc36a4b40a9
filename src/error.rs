//! The one error type, and its one mapping to `google.rpc.Status`.

use std::{borrow::Cow, collections::HashMap, fmt::Display, sync::Arc, time::Duration};

use sea_orm::{DbErr, SqlErr};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{domain::Rejected, id::NotAnId};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The domain of every `google.rpc.ErrorInfo` of ours.
pub const DOMAIN: &str = "switchboard";

/// What a request can be refused with. Causes of `Internal` and `Unavailable` are logged by the
/// mapping, once, and never shown.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// INVALID_ARGUMENT with one `BadRequest` violation a field.
    #[error("{}", violations(.0))]
    Invalid(Vec<Violation>),
    /// NOT_FOUND, also for what belongs to another tenant.
    #[error("{kind} not found")]
    NotFound { kind: &'static str, id: String },
    /// FAILED_PRECONDITION: a rule of the domain said no.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// FAILED_PRECONDITION `SNAPSHOT_REQUIRED`: the cursor points where the log is not (any more); the details
    /// say from which number to which it is there.
    #[error("{message}; read the state anew")]
    OffLog { message: &'static str, oldest: i64, newest: i64 },
    /// RESOURCE_EXHAUSTED `SLOW_CONSUMER` with `RetryInfo`: the client took too long to take what happened.
    #[error("too far behind what happens; subscribe again from the last event you have")]
    TooSlow,
    /// ABORTED: someone else changed it first; `state` tells what it is now (a JSON document).
    #[error("changed by someone else meanwhile; read it again and retry")]
    Changed { reason: &'static str, state: Option<Arc<prost_types::Any>> },
    /// ABORTED with `RetryInfo`: the same command is at work already.
    #[error("the same request is at work already; ask again for its answer")]
    InProgress,
    /// ALREADY_EXISTS.
    #[error("{what} already exists")]
    Exists { what: &'static str },
    /// FAILED_PRECONDITION: refers to a row that is not there, or is another tenant's.
    #[error("refers to something that does not exist")]
    Dangling,
    /// UNAUTHENTICATED: no credential, or one that proves nothing.
    #[error("sign in first")]
    Unauthenticated,
    /// UNAUTHENTICATED with a reason of its own: INVALID_CREDENTIALS, ACCOUNT_LOCKED.
    #[error("{message}")]
    Credentials { reason: &'static str, message: Cow<'static, str>, retry: Option<Duration> },
    /// PERMISSION_DENIED.
    #[error("{message}")]
    Forbidden { reason: &'static str, message: Cow<'static, str>, metadata: Vec<(&'static str, String)> },
    /// RESOURCE_EXHAUSTED with `RetryInfo`.
    #[error("too many requests")]
    Limited { retry: Duration },
    /// RESOURCE_EXHAUSTED: the request message is larger than `limit` bytes.
    #[error("the request is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// DEADLINE_EXCEEDED.
    #[error("the deadline passed")]
    DeadlineExceeded,
    /// UNAVAILABLE with `RetryInfo`: worth another try.
    #[error("not available at the moment; try again")]
    Unavailable(#[source] Arc<anyhow::Error>),
    /// INTERNAL.
    #[error("internal error")]
    Internal(#[source] Arc<anyhow::Error>),
}

/// One field that a request got wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path in the names of the contract: `widget.tags[2]`.
    pub field: String,
    pub problem: String,
}

/// At most the first few: status and message of a gRPC error are headers, and a header list holds 16 KiB.
fn violations(all: &[Violation]) -> String {
    let mut text = all.iter().take(5).map(|v| format!("{}: {}", v.field, v.problem)).collect::<Vec<_>>();
    if all.len() > text.len() {
        text.push(format!("and {} more", all.len() - text.len()));
    }
    text.join("; ")
}

impl Error {
    pub fn invalid(field: impl Into<String>, problem: impl Display) -> Self {
        Self::Invalid(vec![Violation { field: field.into(), problem: problem.to_string() }])
    }
    pub fn not_found(kind: &'static str, id: impl Display) -> Self {
        Self::NotFound { kind, id: id.to_string() }
    }
    pub fn rejected(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Rejected(Rejected { reason, message: message.into() })
    }
    pub fn forbidden(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Forbidden { reason, message: message.into(), metadata: Vec::new() }
    }
    pub fn credentials(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Credentials { reason, message: message.into(), retry: None }
    }
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::Internal(Arc::new(cause.into()))
    }
    pub fn unavailable(cause: impl Into<anyhow::Error>) -> Self {
        Self::Unavailable(Arc::new(cause.into()))
    }
    /// The optimistic version moved on.
    pub const fn stale() -> Self {
        Self::Changed { reason: "VERSION_MISMATCH", state: None }
    }

    /// The word that clients match on.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_FIELD",
            Self::NotFound { .. } => "NOT_FOUND",
            Self::Rejected(rejected) => rejected.reason,
            Self::Changed { reason, .. }
            | Self::Credentials { reason, .. }
            | Self::Forbidden { reason, .. } => reason,
            Self::OffLog { .. } => "SNAPSHOT_REQUIRED",
            Self::TooSlow => "SLOW_CONSUMER",
            Self::InProgress => "REQUEST_IN_PROGRESS",
            Self::Exists { .. } => "ALREADY_EXISTS",
            Self::Dangling => "DANGLING_REFERENCE",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Limited { .. } => "RATE_LIMITED",
            Self::TooLarge { .. } => "REQUEST_TOO_LARGE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Unavailable(_) => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL",
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::NotFound { .. } => Code::NotFound,
            Self::Rejected(_) | Self::Dangling | Self::OffLog { .. } => Code::FailedPrecondition,
            Self::Changed { .. } | Self::InProgress => Code::Aborted,
            Self::Exists { .. } => Code::AlreadyExists,
            Self::Unauthenticated | Self::Credentials { .. } => Code::Unauthenticated,
            Self::Forbidden { .. } => Code::PermissionDenied,
            Self::Limited { .. } | Self::TooLarge { .. } | Self::TooSlow => Code::ResourceExhausted,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Unavailable(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    fn details(&self) -> ErrorDetails {
        let metadata: HashMap<String, String> = match self {
            Self::Forbidden { metadata, .. } => {
                metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
            }
            Self::OffLog { oldest, newest, .. } => [("oldest_seq", oldest), ("newest_seq", newest)]
                .map(|(k, v)| (k.into(), v.to_string()))
                .into(),
            _ => HashMap::new(),
        };
        let mut details = ErrorDetails::with_error_info(self.reason(), DOMAIN, metadata);
        match self {
            Self::Invalid(all) => {
                // Bounded: a header list holds 16 KiB.
                let shown = all.iter().take(50);
                let shown = shown.map(|v| FieldViolation::new(&v.field, &v.problem)).collect::<Vec<_>>();
                details.set_bad_request(shown);
            }
            Self::NotFound { kind, id } => {
                details.set_resource_info(*kind, id, "", "not found");
            }
            Self::Rejected(rejected) => {
                details.add_precondition_failure_violation(rejected.reason, "", rejected.message.clone());
            }
            Self::Limited { retry } | Self::Credentials { retry: Some(retry), .. } => {
                details.set_retry_info(Some(*retry));
            }
            Self::OffLog { .. } => {
                details.add_precondition_failure_violation(self.reason(), "", self.to_string());
            }
            Self::Unavailable(_) | Self::InProgress | Self::TooSlow => {
                details.set_retry_info(Some(Duration::from_secs(1)));
            }
            _ => {}
        }
        details
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Error::Internal(cause) | Error::Unavailable(cause) = &error {
            tracing::error!(error = format!("{cause:#}"), code = ?error.code(), "request failed");
        }
        if let Error::Changed { state: Some(state), .. } = &error {
            return changed(&error, state);
        }
        Self::with_error_details(error.code(), error.to_string(), error.details())
    }
}

/// tonic-types only carries the details of `google.rpc`: the present state is appended by hand.
fn changed(error: &Error, state: &prost_types::Any) -> Status {
    use prost::Message;
    let plain = Status::with_error_details(error.code(), error.to_string(), error.details());
    let Ok(mut status) = tonic_types::pb::Status::decode(plain.details()) else { return plain };
    status.details.push(state.clone());
    Status::with_details(error.code(), error.to_string(), status.encode_to_vec().into())
}

impl From<NotAnId> for Error {
    fn from(not: NotAnId) -> Self {
        Self::invalid("id", not)
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Exists { what: "it" },
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => Self::Dangling,
            _ if unreachable(&error) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

/// Whether the database could not be asked, or not in time: lost, starting, shutting down, out of connections,
/// a lock or a statement that took too long.
fn unreachable(error: &DbErr) -> bool {
    if matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) {
        return true;
    }
    let cause = match error {
        DbErr::Exec(sea_orm::RuntimeErr::SqlxError(cause))
        | DbErr::Query(sea_orm::RuntimeErr::SqlxError(cause)) => cause,
        _ => return false,
    };
    match cause.as_ref() {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Class 57: operator intervention, time limits included; 53: insufficient resources; 08: connection
        // exception; 55P03: a lock that was not to be had.
        sqlx::Error::Database(cause) => cause
            .code()
            .is_some_and(|code| ["57", "53", "08", "55P03"].iter().any(|class| code.starts_with(class))),
        _ => false,
    }
}
