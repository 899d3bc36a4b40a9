//! How a session's token reaches its owner: in the answer, or as a cookie that scripts cannot read.

use chrono::TimeDelta;
use tonic::{
    Request, Response,
    metadata::{MetadataMap, MetadataValue},
};

use crate::{
    auth::token::Token,
    error::{Error, Result},
};

/// The name binds it to https, this host and the whole of it (RFC 6265bis, `__Host-`).
const COOKIE: &str = "__Host-session";

/// Whether the caller asks for a cookie: `x-session: cookie`.
pub(super) fn wants_cookie<T>(request: &Request<T>) -> bool {
    request.metadata().get("x-session").is_some_and(|value| value == "cookie")
}

/// Whether the caller came with a cookie of ours.
pub(super) fn has_cookie<T>(request: &Request<T>) -> bool {
    let ours = |cookies: &str| cookies.split(';').any(|cookie| cookie.trim().starts_with(COOKIE));
    request.metadata().get_all("cookie").iter().any(|cookies| cookies.to_str().is_ok_and(ours))
}

/// Puts the token into the answer's text or, when `cookie` says so, into a cookie that lasts for `lifetime`.
pub(super) fn hand_over<T>(
    answer: T,
    token: &Token,
    cookie: bool,
    lifetime: TimeDelta,
    text: impl FnOnce(&mut T, String),
) -> Result<Response<T>> {
    let mut response = Response::new(answer);
    if cookie {
        let cookie = format!("{COOKIE}={}; Max-Age={}", token.text(), lifetime.num_seconds());
        set(response.metadata_mut(), &cookie)?;
    } else {
        text(response.get_mut(), token.text().to_owned());
    }
    Ok(response)
}

/// Has the browser forget its cookie.
pub(super) fn forget<T>(response: &mut Response<T>) -> Result<()> {
    set(response.metadata_mut(), &format!("{COOKIE}=; Max-Age=0"))
}

fn set(metadata: &mut MetadataMap, cookie: &str) -> Result<()> {
    let value = format!("{cookie}; Path=/; Secure; HttpOnly; SameSite=Lax");
    let mut value = MetadataValue::try_from(value).map_err(Error::internal)?;
    value.set_sensitive(true);
    metadata.insert("set-cookie", value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_seen_among_others() {
        for (cookies, ours) in
            [("a=b; __Host-session=sbs_x", true), ("a=b", false), ("x__Host-session=1", false)]
        {
            let mut request = Request::new(());
            request.metadata_mut().insert("cookie", cookies.parse().unwrap());
            assert_eq!(has_cookie(&request), ours, "{cookies}");
        }
        assert!(!wants_cookie(&Request::new(())));
    }
}
