//! The OpenAPI document of the contract: bindings and comments from the descriptors, and what each
//! method's policy says.

use anyhow::anyhow;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::{Map, Value, json};

use crate::{
    access::{Audience, MethodPolicy, Policies},
    edge::{
        openapi::{Info, MethodExtras, document},
        transcode::grpc_path,
    },
};

/// The document of a server at `url`.
pub(super) fn openapi(pool: &DescriptorPool, url: &str) -> anyhow::Result<Value> {
    let policies = Policies::read(pool).map_err(|problems| anyhow!("{}", problems.join("\n")))?;
    let schemes = json!({
        "session": {"type": "http", "scheme": "bearer", "description": "The token of SignUp or SignIn."},
        "apiKey": {"type": "http", "scheme": "bearer", "description": "The secret of CreateApiKey."},
    });
    let info = Info {
        title: "Switchboard".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description:
            "One inbox for every messenger. The same methods are served as gRPC and gRPC-Web on the same \
                      port; errors are `google.rpc.Status`."
                .to_owned(),
        servers: vec![url.to_owned()],
        security_schemes: schemes.as_object().cloned().unwrap_or_default(),
    };
    let extras =
        |method: &MethodDescriptor| policies.of(&grpc_path(method)).map(|p| extras(p)).unwrap_or_default();
    document(pool, &info, &extras).map_err(|problems| {
        anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn extras(policy: &MethodPolicy) -> MethodExtras {
    let MethodPolicy { method, audience, api_key, subscription, active_tenant, rate, audit } = policy;
    let mut extras = MethodExtras::default();
    let who = match audience {
        Audience::Public => "Anyone may call it.".to_owned(),
        Audience::Session => "For signed-in people.".to_owned(),
        Audience::Member(permission) => format!("Needs the permission {}.", permission.name()),
        Audience::PlatformAdmin => "For the platform's administrators and owner.".to_owned(),
        Audience::PlatformOwner => "For the platform's owner.".to_owned(),
    };
    let mut error = |status: u16, text: &str| extras.errors.push((status, text.to_owned()));
    error(400, "A field is wrong (`BadRequest` names it), or a rule says no (`ErrorInfo` says which).");
    error(429, "Too many requests; `RetryInfo` says when to try again.");
    error(503, "Not available at the moment; try again.");
    let input = method.input();
    if input.fields().any(|field| field.name().ends_with("_id")) {
        error(404, "What an id names is not there, or is another tenant's.");
    }
    if ["expected_version", "precondition"].iter().any(|name| input.get_field_by_name(name).is_some()) {
        error(409, "Someone else changed it first; where it helps, the details hold what it is now.");
    }
    if *audience != Audience::Public {
        error(401, "No credential, or one that proves nothing.");
        error(403, "Not allowed.");
        extras.security.push("session".to_owned());
    }
    let mut note = |text: String| extras.notes.push(text);
    note(who);
    if *api_key {
        note("API keys that carry the permission may call it.".to_owned());
        extras.security.push("apiKey".to_owned());
    }
    if *subscription {
        note("Needs a running trial, subscription or grant: else `SUBSCRIPTION_REQUIRED`.".to_owned());
    }
    if *active_tenant {
        note("Refused for a restricted tenant: `TENANT_RESTRICTED`.".to_owned());
    }
    let rate = rate.as_str_name().trim_start_matches("RATE_CLASS_");
    note(format!("Counts against the rate limit {rate}."));
    let mut extensions = Map::new();
    extensions.insert("x-rate-class".to_owned(), json!(rate));
    if let Audience::Member(permission) = audience {
        extensions.insert("x-permission".to_owned(), json!(permission.name()));
    }
    if let Some(audit) = audit {
        extensions.insert("x-audit".to_owned(), json!(audit.as_ref()));
    }
    extras.extensions = extensions;
    extras
}
