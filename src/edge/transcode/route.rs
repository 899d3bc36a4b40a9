//! Reads the `google.api.http` options of a descriptor pool into routes, with every mistake found at once.

use std::collections::HashSet;
use std::fmt;

use http::Method;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind,
    MessageDescriptor, MethodDescriptor, Value,
};

use super::router::{Accepts, Found, Router};
use super::template::{Template, Variable};

/// Why a descriptor set cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The full name of the method or message at fault.
    pub subject: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)
    }
}

/// One HTTP binding of an rpc.
#[derive(Clone, Debug)]
pub struct Route {
    /// The rpc it calls.
    pub method: MethodDescriptor,
    /// The HTTP methods it answers.
    pub accepts: Accepts,
    /// The template as written in the proto.
    pub text: String,
    /// The template, parsed.
    pub template: Template,
    /// Where the request body goes.
    pub body: BodyRule,
    /// The response field that is the response body; `None` for the whole message.
    pub response_body: Option<FieldDescriptor>,
    /// The field each variable of the template fills, as a path of descriptors.
    pub variables: Vec<Vec<FieldDescriptor>>,
}

/// Where the request body goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// There is none.
    None,
    /// The whole message but the fields bound by the path: `body: "*"`.
    Whole,
    /// One field.
    Field(FieldDescriptor),
}

impl Route {
    /// The path of the rpc on the gRPC side, `/package.Service/Method`.
    pub fn grpc_path(&self) -> String {
        grpc_path(&self.method)
    }

    /// True when a HEAD request may be served as a GET.
    pub fn is_plain_get(&self) -> bool {
        self.accepts == Accepts::Only(Method::GET) && !self.method.is_server_streaming()
    }
}

/// `/package.Service/Method`.
pub fn grpc_path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Every rpc of `pool`.
pub fn methods(pool: &DescriptorPool) -> impl Iterator<Item = MethodDescriptor> {
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// Reads every binding of `pool`. `reserved` are paths that no route may answer.
pub fn read(pool: &DescriptorPool, reserved: &[String]) -> Result<(Vec<Route>, Router), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut routes = Vec::new();
    let methods: Vec<_> = methods(pool).collect();
    if let Some(option) = pool.get_extension_by_name("google.api.http") {
        for method in &methods {
            bindings(method, &option, &mut routes, &mut problems);
        }
    }
    let router = mount(&routes, &mut problems);
    check_reserved(&router, &methods, reserved, &mut problems);
    check_json_names(pool, &mut problems);
    if problems.is_empty() { Ok((routes, router)) } else { Err(problems) }
}

fn bindings(
    method: &MethodDescriptor,
    option: &ExtensionDescriptor,
    routes: &mut Vec<Route>,
    problems: &mut Vec<Problem>,
) {
    let options = method.options();
    if !options.has_extension(option) {
        return;
    }
    let mut refuse = |problem: String| {
        problems.push(Problem { subject: method.full_name().to_owned(), problem });
    };
    if method.is_client_streaming() {
        refuse("a client-streaming rpc cannot have an HTTP binding".into());
        return;
    }
    let value = options.get_extension(option);
    let Value::Message(rule) = value.as_ref() else { return };
    match binding(method, rule) {
        Ok(route) => routes.push(route),
        Err(found) => found.into_iter().for_each(&mut refuse),
    }
    let additional = rule.get_field_by_name("additional_bindings");
    for extra in additional.iter().filter_map(|value| value.as_list()).flatten().filter_map(Value::as_message)
    {
        if extra.has_field_by_name("additional_bindings") {
            refuse("additional_bindings inside additional_bindings".into());
        }
        match binding(method, extra) {
            Ok(route) => routes.push(route),
            Err(found) => found.into_iter().for_each(&mut refuse),
        }
    }
}

fn text_of(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The HTTP method and path of a rule.
fn pattern(rule: &DynamicMessage) -> Result<(Accepts, String), String> {
    for (field, method) in [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ] {
        if rule.has_field_by_name(field) {
            return Ok((Accepts::Only(method), text_of(rule, field)));
        }
    }
    let custom = rule.get_field_by_name("custom").filter(|_| rule.has_field_by_name("custom"));
    let Some(custom) = custom.as_ref().and_then(|value| value.as_message()) else {
        return Err("the binding has no method and path".into());
    };
    let (kind, path) = (text_of(custom, "kind"), text_of(custom, "path"));
    if kind == "*" {
        return Ok((Accepts::Every, path));
    }
    let method = Method::from_bytes(kind.as_bytes()).map_err(|_| format!("`{kind}` is no HTTP method"))?;
    Ok((Accepts::Only(method), path))
}

fn binding(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Route, Vec<String>> {
    let (accepts, text) = pattern(rule).map_err(|problem| vec![problem])?;
    let template = Template::parse(&text).map_err(|problem| vec![format!("path `{text}`: {problem}")])?;
    let mut problems = Vec::new();
    let input = method.input();
    let mut variables = Vec::new();
    for variable in &template.variables {
        match variable_field(&input, variable) {
            Ok(path) => variables.push(path),
            Err(problem) => problems.push(format!("path `{text}`: {problem}")),
        }
    }
    let body = body_rule(&input, &text_of(rule, "body"), &template).unwrap_or_else(|problem| {
        problems.push(problem);
        BodyRule::None
    });
    if body != BodyRule::None && [Method::GET, Method::DELETE].map(Accepts::Only).contains(&accepts) {
        problems.push("GET and DELETE have no body".into());
    }
    let response_body = text_of(rule, "response_body");
    let response_field = method.output().get_field_by_name(&response_body);
    if !response_body.is_empty() && response_field.is_none() {
        problems
            .push(format!("response_body: {} has no field `{response_body}`", method.output().full_name()));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Route {
        method: method.clone(),
        accepts,
        text,
        template,
        body,
        response_body: response_field,
        variables,
    })
}

/// Resolves a variable to a singular scalar field, through singular messages.
fn variable_field(input: &MessageDescriptor, variable: &Variable) -> Result<Vec<FieldDescriptor>, String> {
    let mut message = Some(input.clone());
    let mut path = Vec::new();
    let name = variable.field.join(".");
    for part in &variable.field {
        let field = message
            .and_then(|message| message.get_field_by_name(part))
            .ok_or_else(|| format!("variable `{name}` names a field that does not exist"))?;
        if field.cardinality() == Cardinality::Repeated {
            return Err(format!("variable `{name}` names a repeated or map field"));
        }
        message = field.kind().as_message().cloned();
        path.push(field);
    }
    if message.is_some() {
        return Err(format!("variable `{name}` names a message field"));
    }
    Ok(path)
}

fn body_rule(input: &MessageDescriptor, body: &str, template: &Template) -> Result<BodyRule, String> {
    match body {
        "" => return Ok(BodyRule::None),
        "*" => return Ok(BodyRule::Whole),
        _ => {}
    }
    if body.contains('.') {
        return Err(format!("body `{body}` is nested"));
    }
    let field = input
        .get_field_by_name(body)
        .ok_or_else(|| format!("body: {} has no field `{body}`", input.full_name()))?;
    if template.variables.iter().any(|variable| variable.field == [body]) {
        return Err(format!("body `{body}` is also a path variable"));
    }
    if field.cardinality() == Cardinality::Repeated {
        return Err(format!("body `{body}` is repeated"));
    }
    Ok(BodyRule::Field(field))
}

fn mount(routes: &[Route], problems: &mut Vec<Problem>) -> Router {
    let mut router = Router::default();
    for (index, route) in routes.iter().enumerate() {
        if let Some(other) = router.insert(&route.template, route.accepts.clone(), index) {
            let other = &routes[other];
            problems.push(Problem {
                subject: route.method.full_name().to_owned(),
                problem: format!(
                    "`{}` answers the same requests as `{}` of {}",
                    route.text,
                    other.text,
                    other.method.full_name()
                ),
            });
        }
    }
    router
}

fn check_reserved(
    router: &Router,
    methods: &[MethodDescriptor],
    reserved: &[String],
    problems: &mut Vec<Problem>,
) {
    let paths = methods.iter().map(grpc_path).chain(reserved.iter().cloned());
    for path in paths {
        let shadowed = match router.find(&Method::POST, &path) {
            Found::Nothing => false,
            Found::Route { .. } | Found::WrongMethod(_) => true,
        };
        if shadowed {
            problems.push(Problem { subject: path, problem: "a route answers this reserved path".into() });
        }
    }
}

/// Two fields that read the same JSON key, by either of their names.
fn check_json_names(pool: &DescriptorPool, problems: &mut Vec<Problem>) {
    for message in pool.all_messages() {
        let mut seen = HashSet::new();
        for field in message.fields() {
            let names = HashSet::from([field.name().to_owned(), field.json_name().to_owned()]);
            for name in names {
                if !seen.insert(name.clone()) {
                    problems.push(Problem {
                        subject: message.full_name().to_owned(),
                        problem: format!("two fields are called `{name}` in JSON"),
                    });
                }
            }
        }
    }
}

/// True when `kind` is the message called `name`.
pub fn is_message(kind: &Kind, name: &str) -> bool {
    kind.as_message().is_some_and(|message| message.full_name() == name)
}
