//! Deliveries of messengers.
use http::{Request, Response};
use hyper::body::Incoming;

use super::bodies::{Body, full};

#[derive(Clone)]
pub struct Webhooks;

impl Webhooks {
    pub async fn receive(&self, _: Request<Incoming>) -> Response<Body> {
        Response::new(full(""))
    }
}
