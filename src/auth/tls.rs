//! Whom we believe at the other end of a connection that we open.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// The public roots of the web, and no certificate of our own.
pub fn client() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
