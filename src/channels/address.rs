//! Which addresses we may call for a tenant. Two layers, both needed: hyper does not ask the resolver
//! about an address written as a number, and only the resolver sees what a name turns into.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// An address inside our own network, or one that nobody should be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotAllowed(&'static str);

const PRIVATE: NotAllowed = NotAllowed("the address is not public");

/// Checks what can be seen in the text of a URL.
pub(super) fn check(url: &Url, allow_private: bool) -> Result<(), NotAllowed> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NotAllowed("the address holds credentials"));
    }
    if allow_private {
        return match url.scheme() {
            "http" | "https" => Ok(()),
            _ => Err(NotAllowed("the address is not http or https")),
        };
    }
    if url.scheme() != "https" {
        return Err(NotAllowed("the address is not https"));
    }
    if !matches!(url.port_or_known_default(), Some(443 | 8443)) {
        return Err(NotAllowed("the port is not 443 or 8443"));
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match literal.parse() {
        Ok(ip) if !is_public(ip) => Err(PRIVATE),
        _ => Ok(()),
    }
}

/// Names resolve to public addresses only: what was checked is what is connected to.
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One private answer among public ones is an attack, not an accident.
            if found.iter().any(|address| !is_public(address.ip())) {
                return Err(PRIVATE.into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (b == 18 || b == 19))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, ..] = ip.segments();
    !(ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unicast_link_local()
        || ip.is_unique_local()
        // Written as IPv4, but not mapped: `::a.b.c.d`.
        || ip.segments()[..6] == [0; 6]
        || (a == 0x100 && ip.segments()[1..4] == [0; 3])
        || (a, b) == (0x2001, 0xdb8)
        || (a == 0x3fff && b < 0x1000)
        || a == 0x2002
        || (a, b) == (0x64, 0xff9b) && (c <= 1)
        || a == 0x5f00
        // Site-local, withdrawn but still routed by some.
        || (a & 0xffc0) == 0xfec0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> bool {
        Url::parse(url).map_or(true, |url| check(&url, false).is_err())
    }

    /// Acceptance case 137, the part that shows in the text.
    #[test]
    fn only_public_https_addresses_are_called() {
        for url in [
            "http://example.com/",
            "https://user:pass@example.com/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://192.168.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://192.0.0.1/",
            "https://192.88.99.1/",
            "https://198.18.0.1/",
            "https://203.0.113.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::127.0.0.1]/",
            "https://[fe80::1]/",
            "https://[fe80::1%25eth0]/",
            "https://[fd00::1]/",
            "https://[2001:db8::1]/",
            "https://[2002:7f00:1::]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[64:ff9b:1::1]/",
            "https://[100::1]/",
            "https://[5f00::1]/",
            "https://[3fff::1]/",
            "https://[ff02::1]/",
            "https://example.com:22/",
            "ftp://example.com/",
        ] {
            assert!(refused(url), "{url}");
        }
        for url in [
            "https://example.com/hook",
            "https://example.com:8443/",
            "https://93.184.216.34/",
            "https://[2606:4700::1111]/",
        ] {
            assert!(!refused(url), "{url}");
        }
    }

    #[test]
    fn a_trusted_network_may_be_called_when_that_is_set() {
        let check = |url| check(&Url::parse(url).unwrap(), true);
        assert!(check("http://127.0.0.1:9090/hook").is_ok());
        assert!(check("http://user@127.0.0.1/").is_err());
        assert!(check("file:///etc/passwd").is_err());
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_does_not_resolve() {
        let resolved = PublicOnly.resolve("localhost".parse().unwrap()).await;
        assert!(resolved.err().is_some_and(|error| error.is::<NotAllowed>()));
        // Some machines know no such name, the others know it as loopback.
        assert!(PublicOnly.resolve("localhost.".parse().unwrap()).await.is_err());
    }
}
