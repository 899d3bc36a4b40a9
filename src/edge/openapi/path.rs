//! Path templates of `google.api.http` as OpenAPI paths.

use std::collections::HashMap;

use prost_reflect::FieldDescriptor;

use crate::edge::transcode::{Route, Segment};

/// Path templates that differ only in the names of their parameters are one path to OpenAPI: the first names stay.
#[derive(Default)]
pub(super) struct PathNames {
    first: HashMap<String, (String, Vec<String>)>,
}

impl PathNames {
    /// The path of a route and what its parameters stand for.
    pub(super) fn expand(&mut self, route: &Route) -> (String, Vec<Parameter>) {
        let (path, mut parameters) = expand(route);
        let mut shape = path.clone();
        for parameter in &parameters {
            shape = shape.replacen(&format!("{{{}}}", parameter.name), "{}", 1);
        }
        let names = parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let (path, names) = self.first.entry(shape).or_insert((path, names)).clone();
        for (parameter, name) in parameters.iter_mut().zip(names) {
            parameter.name = name;
        }
        (path, parameters)
    }
}

/// The template with every multi-segment variable spread into single ones, as OpenAPI needs it:
/// the path and, in order, the parameter names with what each stands for.
fn expand(route: &Route) -> (String, Vec<Parameter>) {
    let mut path = String::new();
    let mut parameters: Vec<Parameter> = Vec::new();
    for (at, segment) in route.template.segments.iter().enumerate() {
        path.push('/');
        let variable = route
            .template
            .variables
            .iter()
            .position(|variable| variable.start <= at && variable.end.is_none_or(|end| at < end));
        if let Segment::Literal(text) = segment {
            path.push_str(text);
            continue;
        }
        let previous = at.checked_sub(1).map(|at| &route.template.segments[at]);
        let name = match (variable.map(|index| &route.template.variables[index]), previous) {
            (Some(variable), _) if !variable.is_multi_segment() => variable.field.join("."),
            (Some(variable), Some(Segment::Literal(collection))) if at > variable.start => {
                singular(collection)
            }
            (Some(variable), _) => variable.field.join("."),
            (None, _) => format!("segment{at}"),
        };
        let taken = parameters.iter().filter(|parameter| parameter.name == name).count();
        let name = if taken > 0 { format!("{name}{}", taken + 1) } else { name };
        path.push_str(&format!("{{{name}}}"));
        let field = variable.and_then(|index| route.variables[index].last().cloned());
        let whole = variable.is_some_and(|index| !route.template.variables[index].is_multi_segment());
        parameters.push(Parameter { name, field, whole });
    }
    if let Some(verb) = &route.template.verb {
        path.push(':');
        path.push_str(verb);
    }
    (path, parameters)
}

/// A path parameter of an expanded template.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    /// Its name in the expanded path.
    pub(super) name: String,
    /// The request field it is part of.
    pub(super) field: Option<FieldDescriptor>,
    /// True when it is the whole value of that field.
    pub(super) whole: bool,
}

/// `widgets` → `widget`, `categories` → `category`.
fn singular(collection: &str) -> String {
    match collection.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => collection.strip_suffix('s').unwrap_or(collection).to_owned(),
    }
}
