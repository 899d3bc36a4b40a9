//! The credential of a request: a bearer token, or the session cookie when the request cannot come from
//! a foreign page.

use http::{HeaderMap, HeaderName, header};

use crate::{
    auth::token::{self, Kind},
    error::{Error, Result},
};

/// The session's cookie. `__Host-`: of this host alone, over TLS alone.
pub const COOKIE: &str = "__Host-session";

const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// SHA-256 of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Session([u8; 32]),
    ApiKey([u8; 32]),
}

/// What the headers present; `None` without any. Two at once are INVALID_ARGUMENT: which one would count?
pub(super) fn presented(headers: &HeaderMap, origins: &[String]) -> Result<Option<Credential>> {
    let cookie = cookie(headers)?;
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter();
    let bearer = bearers.next();
    if bearers.next().is_some() || (bearer.is_some() && cookie.is_some()) {
        return Err(ambiguous());
    }
    if let Some(value) = bearer {
        let (scheme, text) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(useless)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(useless());
        }
        return of_token(text.trim()).map(Some);
    }
    let Some(text) = cookie else { return Ok(None) };
    if !of_our_page(headers, origins) {
        let message = "the cookie counts only with x-requested-with and an allowed Origin";
        return Err(Error::forbidden("CROSS_SITE_REQUEST", message));
    }
    match of_token(text)? {
        session @ Credential::Session(_) => Ok(Some(session)),
        Credential::ApiKey(_) => Err(useless()),
    }
}

fn of_token(text: &str) -> Result<Credential> {
    match Kind::of(text) {
        Some(Kind::Session) => Ok(Credential::Session(token::hash(text))),
        Some(Kind::ApiKey) => Ok(Credential::ApiKey(token::hash(text))),
        _ => Err(useless()),
    }
}

/// A credential that proves nothing: malformed, unknown, expired, revoked. Which of these is nobody's business.
pub(super) fn useless() -> Error {
    Error::credentials("INVALID_TOKEN", "the token is malformed, unknown, expired or revoked")
}

fn ambiguous() -> Error {
    Error::invalid("authorization", "send one credential, not several")
}

fn cookie(headers: &HeaderMap) -> Result<Option<&str>> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(ambiguous()),
        (first, None) => Ok(first),
    }
}

/// A foreign page can neither add `x-requested-with` without asking first (CORS), nor choose its `Origin`.
/// Browsers leave `Origin` out of same-origin reads; `Sec-Fetch-Site` speaks for those.
fn of_our_page(headers: &HeaderMap, origins: &[String]) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let place = match text(&header::ORIGIN) {
        Some(origin) => origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)),
        None => text(&FETCH_SITE) == Some("same-origin"),
    };
    place && headers.contains_key(REQUESTED_WITH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], expected: Result<Option<Credential>, &str>) {
        let map = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let mut all = HeaderMap::new();
        all.extend(map);
        let found = presented(&all, &["https://app.example".to_owned()]);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{headers:?}"),
            (Err(error), Err(reason)) => assert_eq!(error.reason(), reason, "{headers:?}"),
            (found, _) => panic!("{headers:?}: {found:?}"),
        }
    }

    #[test]
    fn one_credential_counts() {
        let digits = "a".repeat(43);
        let (session, key) = (format!("sbs_{digits}"), format!("sk_live_{digits}"));
        let (bearer, machine) = (format!("Bearer {session}"), format!("bearer {key}"));
        let cookie = format!("theme=dark; __Host-session={session}");
        let proven = Ok(Some(Credential::Session(token::hash(&session))));

        check(&[], Ok(None));
        check(&[("cookie", "theme=dark")], Ok(None));
        check(&[("grpc-metadata-authorization", &bearer)], Ok(None));
        check(&[("authorization", &bearer)], proven);
        check(&[("authorization", &machine)], Ok(Some(Credential::ApiKey(token::hash(&key)))));
        for wrong in ["", "Bearer", "Basic YTpi", "Bearer abc", &session, "Bearer sbs_short"] {
            check(&[("authorization", wrong)], Err("INVALID_TOKEN"));
        }
        check(&[("authorization", &bearer), ("authorization", &machine)], Err("INVALID_FIELD"));
        check(&[("authorization", &bearer), ("cookie", &cookie)], Err("INVALID_FIELD"));
        check(&[("cookie", &cookie), ("cookie", &cookie)], Err("INVALID_FIELD"));
    }

    /// Acceptance case 62; a header that foreign pages cannot send stands in for the token.
    #[test]
    fn a_cookie_needs_our_page() {
        let session = format!("sbs_{}", "a".repeat(43));
        let cookie = format!("__Host-session={session}");
        let proven = Ok(Some(Credential::Session(token::hash(&session))));
        let asked = ("x-requested-with", "fetch");
        check(&[("cookie", &cookie), asked, ("origin", "https://app.example")], proven);
        check(&[("cookie", &cookie), asked, ("sec-fetch-site", "same-origin")], proven);
        for refused in [
            vec![asked],
            vec![("origin", "https://app.example")],
            vec![asked, ("origin", "https://evil.example")],
            vec![asked, ("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            vec![asked, ("origin", "null")],
            vec![asked, ("sec-fetch-site", "cross-site")],
        ] {
            check(&[vec![("cookie", cookie.as_str())], refused].concat(), Err("CROSS_SITE_REQUEST"));
        }
        let machine = format!("__Host-session=sk_live_{}", "a".repeat(43));
        check(&[("cookie", &machine), asked, ("origin", "https://app.example")], Err("INVALID_TOKEN"));
    }
}
