//! Who is at the other end of the connection.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{Extensions, HeaderMap, HeaderName};

use crate::config::Cidr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's address: the peer's (a `SocketAddr` in the extensions), or, behind trusted proxies, the
/// last address in `x-forwarded-for` that is not one of theirs.
pub fn address(headers: &HeaderMap, extensions: &Extensions, trusted: &[Cidr]) -> Option<IpAddr> {
    let is_proxy = |address: &IpAddr| trusted.iter().any(|block| block.contains(*address));
    let mut client = extensions.get::<SocketAddr>()?.ip().to_canonical();
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    while is_proxy(&client) {
        let Some(before) = hops.next().and_then(|hop| hop.trim().parse::<IpAddr>().ok()) else { break };
        client = before.to_canonical();
    }
    Some(client)
}

/// The id of the request, as the edge set it.
pub(super) fn request_id(headers: &HeaderMap) -> Option<Arc<str>> {
    headers.get(REQUEST_ID)?.to_str().ok().filter(|id| id.len() <= 128).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(peer.parse::<SocketAddr>().unwrap());
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let found = address(&headers, &extensions, &trusted).unwrap();
        assert_eq!(found.to_string(), expected, "{peer} {forwarded:?}");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        check("203.0.113.7:1", &[], "203.0.113.7");
        check("[::ffff:203.0.113.7]:1", &[], "203.0.113.7");
        check("203.0.113.7:1", &["198.51.100.1"], "203.0.113.7");
        check("10.0.0.1:1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1:1", &["1.1.1.1, 198.51.100.1, 10.2.3.4"], "198.51.100.1");
        check("10.0.0.1:1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1");
        check("[2001:db8::1]:1", &["198.51.100.1, nonsense"], "2001:db8::1");
        check("10.0.0.1:1", &[], "10.0.0.1");
        check("10.0.0.1:1", &["10.0.0.2"], "10.0.0.2");
        assert_eq!(address(&HeaderMap::new(), &Extensions::new(), &[]), None);
    }
}
