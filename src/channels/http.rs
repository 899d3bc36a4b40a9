//! The HTTP client for everything that tenants configure: bounded in time and size, no redirects, no
//! proxy of the environment, and public addresses only unless a setting says otherwise.

use std::{error::Error, time::Duration};

use ::http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url, redirect::Policy};

use super::address::{self, NotAllowed, PublicOnly};
use crate::{auth::tls, domain::wait};

/// Answers are short; a provider that talks longer is not believed.
const MAX_ANSWER: usize = 256 * 1024;

/// A client to call providers with. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    allow_private: bool,
}

/// What came of one request.
pub(super) enum Answer {
    Came {
        status: StatusCode,
        retry_after: Option<Duration>,
        body: Vec<u8>,
    },
    /// The address may not be called: nothing left.
    NotAllowed(&'static str),
    /// No connection was made: nothing left.
    NotReached(&'static str),
    /// The request may have left, and no whole answer came.
    Lost(&'static str),
}

impl Http {
    /// `allow_private` admits loopback and private networks, and plain http: for the sandbox, and where
    /// the operator trusts every tenant. `timeout` bounds a request from connect to the last byte.
    pub fn new(allow_private: bool, timeout: Duration) -> Self {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client())
            .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            // A connection that the provider closed while it idled would turn a send into an unknown one.
            .pool_idle_timeout(Duration::from_secs(15));
        let client = if allow_private { client } else { client.dns_resolver(PublicOnly) };
        Self { client: client.build().expect("the settings above are valid"), allow_private }
    }

    pub(super) async fn get(&self, url: &str, headers: HeaderMap) -> Answer {
        self.exchange(url, |url| self.client.get(url).headers(headers)).await
    }

    pub(super) async fn post(&self, url: &str, headers: HeaderMap, body: Vec<u8>) -> Answer {
        self.exchange(url, |url| self.client.post(url).headers(headers).body(body)).await
    }

    async fn exchange(&self, url: &str, request: impl FnOnce(Url) -> RequestBuilder) -> Answer {
        let Ok(url) = Url::parse(url) else { return Answer::NotAllowed("the address is not a URL") };
        if address::check(&url, self.allow_private).is_err() {
            return Answer::NotAllowed("the address may not be called: it must be public and https");
        }
        let response = match request(url).send().await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let status = response.status();
        let retry_after = retry_after(response.headers());
        match whole(response).await {
            Some(body) => Answer::Came { status, retry_after, body },
            None => Answer::Lost("the answer broke off or was too long"),
        }
    }
}

async fn whole(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// reqwest's own words hold the URL, and a Telegram URL holds the token: only ours are told.
fn failed(error: &reqwest::Error) -> Answer {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    if causes.any(<dyn Error>::is::<NotAllowed>) {
        Answer::NotAllowed("the name resolves to an address that is not public")
    } else if error.is_dns() {
        Answer::NotReached("the name could not be resolved")
    } else if error.is_connect() {
        Answer::NotReached("no connection")
    } else if error.is_builder() {
        Answer::NotAllowed("the request could not be built")
    } else if error.is_timeout() {
        Answer::Lost("no answer in time")
    } else {
        Answer::Lost("the connection broke before the answer")
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    wait::retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    #[test]
    fn no_answer_puts_a_message_off_for_good() {
        let asked = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(asked("17"), Some(17));
        assert_eq!(asked(" 3600 "), Some(3600));
        for huge in ["3601", "9223372036854775", "18446744073709551615"] {
            assert_eq!(asked(huge), Some(3600), "{huge}");
        }
        assert_eq!(asked("18446744073709551616"), None);
        assert_eq!(asked("-1"), None);
        assert_eq!(asked("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
