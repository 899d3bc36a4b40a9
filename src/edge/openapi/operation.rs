//! One HTTP binding as an OpenAPI Operation Object.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::MethodExtras;
use super::comments::Comments;
use super::path::Parameter;
use super::schema::{Schemas, describe};
use crate::edge::transcode::{BodyRule, Route, is_message};

/// Query parameters reach this deep into messages.
const MAX_DEPTH: usize = 3;

pub(super) struct Operation<'r> {
    pub route: &'r Route,
    pub parameters: &'r [Parameter],
    /// Which binding of its method this is, from 1.
    pub binding: usize,
    pub comments: &'r Comments,
}

impl Operation<'_> {
    pub(super) fn json(&self, schemas: &mut Schemas<'_>, extras: &MethodExtras) -> Value {
        let method = &self.route.method;
        let service = method.parent_service();
        let comment = self.comments.method(method);
        let mut operation = Map::new();
        let number = if self.binding > 1 { format!("_{}", self.binding) } else { String::new() };
        operation
            .insert("operationId".into(), format!("{}_{}{number}", service.name(), method.name()).into());
        operation.insert("tags".into(), json!([service.name()]));
        if let Some(sentence) = first_sentence(&comment) {
            operation.insert("summary".into(), sentence.into());
        }
        let notes = std::iter::once(comment.as_str()).chain(extras.notes.iter().map(String::as_str));
        let text = notes.filter(|note| !note.is_empty()).collect::<Vec<_>>().join("\n\n");
        describe(&mut operation, &text);
        let mut parameters = self.path_parameters(schemas);
        if self.route.body != BodyRule::Whole {
            let names: Vec<_> =
                self.route.template.variables.iter().map(|variable| variable.field.join(".")).collect();
            self.query_parameters(schemas, &method.input(), &mut Vec::new(), &names, &mut parameters);
        }
        if !parameters.is_empty() {
            operation.insert("parameters".into(), parameters.into());
        }
        if let Some(body) = self.request_body(schemas) {
            operation.insert("requestBody".into(), body);
        }
        operation.insert("responses".into(), self.responses(schemas, extras));
        if method.is_server_streaming() {
            operation.insert("x-stream".into(), true.into());
        }
        if method.options().get_field_by_name("deprecated").is_some_and(|value| value.as_bool() == Some(true))
        {
            operation.insert("deprecated".into(), true.into());
        }
        let security: Vec<Value> = extras.security.iter().map(|scheme| json!({scheme: []})).collect();
        operation.insert("security".into(), security.into());
        operation.insert("x-grpc-method".into(), method.full_name().into());
        operation.extend(extras.extensions.clone());
        operation.into()
    }

    fn path_parameters(&self, schemas: &mut Schemas<'_>) -> Vec<Value> {
        let parameters = self.parameters.iter().map(|parameter| {
            let mut schema = json!({"type": "string"});
            let mut text = String::new();
            if let Some(field) = &parameter.field {
                text = self.comments.field(field);
                if parameter.whole {
                    schema = bare(schemas.field(field));
                } else {
                    text = format!("Part of `{}`. {text}", field.name());
                }
            }
            let mut json = json!({"name": parameter.name, "in": "path", "required": true, "schema": schema});
            if let Value::Object(json) = &mut json {
                describe(json, text.trim());
            }
            json
        });
        parameters.collect()
    }

    /// The fields of `message` that neither path nor body binds. `taken` are those of the path.
    fn query_parameters(
        &self,
        schemas: &mut Schemas<'_>,
        message: &MessageDescriptor,
        prefix: &mut Vec<FieldDescriptor>,
        taken: &[String],
        parameters: &mut Vec<Value>,
    ) {
        for field in message.fields() {
            let is_body = prefix.is_empty() && self.route.body == BodyRule::Field(field.clone());
            prefix.push(field.clone());
            let path =
                |name: fn(&FieldDescriptor) -> &str| prefix.iter().map(name).collect::<Vec<_>>().join(".");
            let is_taken = taken.contains(&path(FieldDescriptor::name));
            let name = path(FieldDescriptor::json_name);
            if !is_body && !is_taken && !field.is_map() {
                match field.kind() {
                    Kind::Message(inner) if !is_text(&inner) => {
                        if !field.is_list() && prefix.len() < MAX_DEPTH && !is_object(&inner) {
                            self.query_parameters(schemas, &inner, prefix, taken, parameters);
                        }
                    }
                    _ => parameters.push(self.query_parameter(schemas, &field, &name, prefix.len() == 1)),
                }
            }
            prefix.pop();
        }
    }

    fn query_parameter(
        &self,
        schemas: &mut Schemas<'_>,
        field: &FieldDescriptor,
        name: &str,
        top: bool,
    ) -> Value {
        let mut parameter = Map::new();
        parameter.insert("name".into(), name.into());
        parameter.insert("in".into(), "query".into());
        describe(&mut parameter, &self.comments.field(field));
        if top && super::rules::of(field).is_some_and(|rules| super::rules::is_required(&rules)) {
            parameter.insert("required".into(), true.into());
        }
        if field.is_list() {
            parameter.insert("style".into(), "form".into());
            parameter.insert("explode".into(), true.into());
        }
        parameter.insert("schema".into(), bare(schemas.field(field)));
        parameter.into()
    }

    fn request_body(&self, schemas: &mut Schemas<'_>) -> Option<Value> {
        let input = self.route.method.input();
        let schema = match &self.route.body {
            BodyRule::None => return None,
            BodyRule::Field(field) if is_message(&field.kind(), "google.api.HttpBody") => {
                return Some(any_bytes());
            }
            BodyRule::Field(field) => schemas.field(field),
            BodyRule::Whole if input.full_name() == "google.api.HttpBody" => return Some(any_bytes()),
            BodyRule::Whole if self.route.variables.is_empty() => schemas.message(&input),
            BodyRule::Whole => {
                let bound: Vec<_> =
                    self.route.variables.iter().filter(|path| path.len() == 1).flatten().collect();
                schemas.object(&input, &|field| !bound.contains(&field))
            }
        };
        Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}))
    }

    fn responses(&self, schemas: &mut Schemas<'_>, extras: &MethodExtras) -> Value {
        let output = self.route.method.output();
        let (schema, raw) = match &self.route.response_body {
            Some(field) => (schemas.field(field), is_message(&field.kind(), "google.api.HttpBody")),
            None => (schemas.message(&output), output.full_name() == "google.api.HttpBody"),
        };
        let status = json!({"$ref": "#/components/schemas/Status"});
        let content = if raw {
            json!({"*/*": {"schema": schema}})
        } else if self.route.method.is_server_streaming() {
            json!({
                "application/x-ndjson": {"schema": {
                    "type": "object",
                    "description": "A line: a result, or at the end of a stream that failed its error.",
                    "properties": {"result": schema, "error": status}
                }},
                "text/event-stream": {"schema": {
                    "type": "string",
                    "description": "Each `data:` is a message; the event `status` ends the stream with its google.rpc.Status.",
                    "contentMediaType": "application/json",
                    "contentSchema": schema
                }}
            })
        } else {
            json!({"application/json": {"schema": schema}})
        };
        let mut responses = Map::new();
        responses.insert("200".into(), json!({"description": "Success.", "content": content}));
        let mut errors: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for (code, text) in &extras.errors {
            errors.entry(*code).or_default().push(text);
        }
        // What the transcoder itself answers.
        errors.entry(504).or_default().push("The deadline passed.");
        if self.route.body != BodyRule::None {
            errors.entry(413).or_default().push("The body is too large.");
            errors
                .entry(415)
                .or_default()
                .push("The body is not JSON, or is compressed with something else than gzip.");
        }
        let error =
            |text: &str| json!({"description": text, "content": {"application/json": {"schema": status}}});
        for (code, texts) in errors {
            responses.insert(code.to_string(), error(&texts.join("\n\n")));
        }
        responses.insert("default".into(), error("Any other error."));
        responses.into()
    }
}

/// A schema whose comment stands beside it.
fn bare(mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.remove("description");
    }
    schema
}

fn any_bytes() -> Value {
    json!({"required": true, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}})
}

/// Well-known types that a query parameter can hold.
fn is_text(message: &MessageDescriptor) -> bool {
    message.full_name().strip_prefix("google.protobuf.").is_some_and(|name| {
        matches!(name, "Timestamp" | "Duration" | "FieldMask")
            || (name.ends_with("Value") && !matches!(name, "Value" | "ListValue"))
    })
}

/// Well-known types that it cannot.
fn is_object(message: &MessageDescriptor) -> bool {
    message.full_name().starts_with("google.protobuf.")
}

fn first_sentence(text: &str) -> Option<String> {
    let flat = text.split("\n\n").next()?.replace('\n', " ");
    let end = flat.find(". ").map_or(flat.len(), |at| at);
    let sentence = flat[..end].trim_end_matches('.').trim().to_owned();
    (!sentence.is_empty()).then_some(sentence)
}
