//! REST over any gRPC service: descriptors with `google.api.http` options in, HTTP out.

mod codec;
mod json_in;
mod json_out;
mod known;
mod percent;
mod plan;
mod route;
mod router;
mod scalar;
mod template;
mod wire;
