//! A webhook as it came in.

use ::http::{HeaderMap, Method};
use bytes::Bytes;

use crate::domain::signature::SignatureError;

/// One HTTP request, its body untouched.
#[derive(Clone, Debug)]
pub struct RawRequest {
    pub method: Method,
    /// Without the question mark, still percent-encoded; empty if there is none.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl RawRequest {
    /// The only value of a header. `shown` is its name in errors.
    ///
    /// # Errors
    /// The header is there twice: whoever checks one value may act on the other.
    pub(super) fn header(&self, name: &str, shown: &'static str) -> Result<Option<&str>, SignatureError> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next();
        if values.next().is_some() {
            return Err(SignatureError::Repeated(shown));
        }
        // Bytes that are no text cannot be a signature; an empty one never fits.
        Ok(value.map(|value| value.to_str().unwrap_or_default()))
    }

    /// The first value of a query parameter, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = reqwest::Url::parse(&format!("http://query/?{}", self.query)).ok()?;
        pairs.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}
