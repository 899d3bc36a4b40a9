//! The OpenAPI 3.1 document of a descriptor set: every HTTP binding, field, rule and comment
//! (<https://spec.openapis.org/oas/v3.1.0>).

mod comments;
mod operation;
mod path;
mod rules;
mod schema;

use std::collections::HashMap;

use http::Method;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::{Map, Value, json};

use super::transcode::{Accepts, Problem, Route, routes};
use comments::Comments;
use operation::Operation;
use path::PathNames;
use schema::Schemas;

/// What the descriptors cannot say about the whole.
#[derive(Clone, Debug, Default)]
pub struct Info {
    /// The name of the API.
    pub title: String,
    /// Its version.
    pub version: String,
    /// What it is, in CommonMark.
    pub description: String,
    /// Base URLs; none for the server the document came from.
    pub servers: Vec<String>,
    /// Security schemes by name, as OpenAPI Security Scheme Objects.
    pub security_schemes: Map<String, Value>,
}

/// What the descriptors cannot say about a method.
#[derive(Clone, Debug, Default)]
pub struct MethodExtras {
    /// Names of the security schemes of which any one suffices; empty for a public method.
    pub security: Vec<String>,
    /// Paragraphs after the method's comment: permission, rate class, conditions.
    pub notes: Vec<String>,
    /// HTTP statuses it may answer besides 200, each with a sentence.
    pub errors: Vec<(u16, String)>,
    /// `x-` members of the operation.
    pub extensions: Map<String, Value>,
}

/// The document of every binding in `pool`, which needs source info for its comments. `extra` adds what options of our own
/// say about a method. `Err` lists what is wrong with the bindings.
pub fn document(
    pool: &DescriptorPool,
    info: &Info,
    extra: &dyn Fn(&MethodDescriptor) -> MethodExtras,
) -> Result<Value, Vec<Problem>> {
    let comments = Comments::new(pool);
    let mut schemas = Schemas::new(&comments);
    let mut paths: Map<String, Value> = Map::new();
    let mut names = PathNames::default();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut tags = Vec::new();
    for route in routes(pool)? {
        let Some(verb) = verb(&route) else { continue };
        let (path, parameters) = names.expand(&route);
        let service = &route.method.parent_service();
        if !tags.iter().any(|tag: &Value| tag["name"] == service.name()) {
            tags.push(json!({"name": service.name(), "description": comments.service(service)}));
        }
        let count = counts.entry(route.method.full_name().to_owned()).or_default();
        *count += 1;
        let operation =
            Operation { route: &route, parameters: &parameters, binding: *count, comments: &comments };
        let operation = operation.json(&mut schemas, &extra(&route.method));
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[verb] = operation;
    }
    let mut schemas = schemas.finish();
    schemas.insert("Status".into(), status_schema());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": info.title, "version": info.version, "description": info.description},
        "tags": tags,
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": info.security_schemes},
    });
    if !info.servers.is_empty() {
        document["servers"] = info.servers.iter().map(|url| json!({"url": url})).collect();
    }
    Ok(document)
}

/// The member of a path item; OpenAPI knows these methods only.
fn verb(route: &Route) -> Option<&'static str> {
    match &route.accepts {
        Accepts::Only(method) => match *method {
            Method::GET => Some("get"),
            Method::PUT => Some("put"),
            Method::POST => Some("post"),
            Method::PATCH => Some("patch"),
            Method::DELETE => Some("delete"),
            Method::HEAD => Some("head"),
            _ => None,
        },
        Accepts::Every => Some("post"),
    }
}

/// The body of every error.
fn status_schema() -> Value {
    json!({
        "type": "object",
        "description": "A google.rpc.Status. `error` repeats `message`; `status` is the name of `code`. \
                        `details` hold google.rpc.ErrorInfo with a stable `reason`, and BadRequest, RetryInfo and others as fits.",
        "required": ["error", "code", "status", "message", "details"],
        "properties": {
            "error": {"type": "string", "description": "The same text as `message`."},
            "code": {"type": "integer", "format": "int32", "description": "The google.rpc.Code."},
            "status": {"type": "string", "description": "The name of the code, such as NOT_FOUND."},
            "message": {"type": "string", "description": "What went wrong, for developers, in English."},
            "details": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["@type"],
                    "properties": {"@type": {"type": "string", "description": "The URL of the detail's message type."}},
                    "additionalProperties": true
                }
            }
        }
    })
}
