//! Finds the route of a raw path: literal before `*` before `**`, a registered verb before a plain match.

use std::borrow::Cow;
use std::collections::HashMap;

use http::Method;

use super::percent;
use super::template::{Segment, Template};

/// Path shapes and, under each, the methods it answers. Routes are known by their index.
#[derive(Debug, Default)]
pub struct Router {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    any: Option<Box<Node>>,
    ends: Vec<End>,
    rests: Vec<End>,
}

/// One path shape: variables do not count, only segments and verb.
#[derive(Debug)]
struct End {
    verb: Option<String>,
    methods: Vec<(Accepts, usize)>,
}

/// The HTTP methods of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// This one.
    Only(Method),
    /// `custom { kind: "*" }`: every method.
    Every,
}

/// What a path and method lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'p> {
    /// A route and the raw segments of the path, without the verb.
    Route { index: usize, segments: Vec<&'p str> },
    /// The path exists, for these methods only.
    WrongMethod(Vec<Method>),
    /// No such path.
    Nothing,
}

impl Router {
    /// Adds a binding; answers the index of a route that already has this shape and method.
    pub fn insert(&mut self, template: &Template, accepts: Accepts, index: usize) -> Option<usize> {
        let mut node = &mut self.root;
        let mut rest = false;
        for segment in &template.segments {
            match segment {
                Segment::Literal(text) => node = node.literals.entry(text.clone()).or_default(),
                Segment::Any => node = node.any.get_or_insert_default(),
                Segment::Rest => rest = true,
            }
        }
        let ends = if rest { &mut node.rests } else { &mut node.ends };
        let position = ends.iter().position(|end| end.verb == template.verb).unwrap_or_else(|| {
            ends.push(End { verb: template.verb.clone(), methods: Vec::new() });
            ends.len() - 1
        });
        let methods = &mut ends[position].methods;
        let taken = methods.iter().find(|(other, _)| *other == accepts).map(|(_, index)| *index);
        if taken.is_none() {
            methods.push((accepts, index));
        }
        taken
    }

    /// Finds the route of `path`, which is raw: still percent-encoded, without the query.
    pub fn find<'p>(&self, method: &Method, path: &'p str) -> Found<'p> {
        let Some((end, segments)) = self.shape(path) else { return Found::Nothing };
        let chosen = end
            .methods
            .iter()
            .find(|(accepts, _)| *accepts == Accepts::Only(method.clone()))
            .or_else(|| end.methods.iter().find(|(accepts, _)| *accepts == Accepts::Every));
        match chosen {
            Some((_, index)) => Found::Route { index: *index, segments },
            None => Found::WrongMethod(end.allowed()),
        }
    }

    /// The methods `path` answers; empty when there is no such path.
    pub fn allowed(&self, path: &str) -> Vec<Method> {
        self.shape(path).map(|(end, _)| end.allowed()).unwrap_or_default()
    }

    fn shape<'p>(&self, path: &'p str) -> Option<(&End, Vec<&'p str>)> {
        let mut segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return None;
        }
        let decode = |segments: &[&'p str]| -> Option<Vec<Cow<'p, str>>> {
            segments.iter().map(|segment| percent::decode_segment(segment).ok()).collect()
        };
        let last = segments.len() - 1;
        let whole = segments[last];
        if let Some((base, verb)) = whole.rsplit_once(':').filter(|(base, _)| !base.is_empty()) {
            segments[last] = base;
            if let Some(end) = self.root.find(&decode(&segments)?, Some(verb)) {
                return Some((end, segments));
            }
            segments[last] = whole;
        }
        let end = self.root.find(&decode(&segments)?, None)?;
        Some((end, segments))
    }
}

impl Node {
    fn find(&self, segments: &[Cow<'_, str>], verb: Option<&str>) -> Option<&End> {
        let with_verb = |ends: &'_ [End]| ends.iter().position(|end| end.verb.as_deref() == verb);
        let rest = || with_verb(&self.rests).map(|at| &self.rests[at]);
        let Some((head, tail)) = segments.split_first() else {
            return with_verb(&self.ends).map(|at| &self.ends[at]).or_else(rest);
        };
        let literal = self.literals.get(head.as_ref()).and_then(|node| node.find(tail, verb));
        literal.or_else(|| self.any.as_ref()?.find(tail, verb)).or_else(rest)
    }
}

impl End {
    fn allowed(&self) -> Vec<Method> {
        let mut allowed = Vec::new();
        for (accepts, _) in &self.methods {
            match accepts {
                Accepts::Only(method) => allowed.push(method.clone()),
                Accepts::Every => {
                    allowed.extend([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]);
                }
            }
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(templates: &[(&str, &str)]) -> Router {
        let mut router = Router::default();
        for (index, (method, template)) in templates.iter().enumerate() {
            let accepts = Accepts::Only(method.parse().unwrap());
            assert_eq!(router.insert(&Template::parse(template).unwrap(), accepts, index), None);
        }
        router
    }

    fn index(router: &Router, method: &str, path: &str) -> Option<usize> {
        match router.find(&method.parse().unwrap(), path) {
            Found::Route { index, .. } => Some(index),
            _ => None,
        }
    }

    /// G01: literals compare after their escapes are decoded.
    #[test]
    fn escaped_literals_match_either_spelling() {
        let router = router(&[("GET", "/v1/a%2Cb/{id}")]);
        assert_eq!(index(&router, "GET", "/v1/a%2cb/x"), Some(0));
        assert_eq!(index(&router, "GET", "/v1/a,b/x"), Some(0));
    }

    /// G02: the most specific template wins whatever the order of declaration.
    #[test]
    fn a_literal_beats_a_variable() {
        let forwards =
            router(&[("GET", "/v1/{name=jobs/*}"), ("GET", "/v1/jobs/special"), ("GET", "/v1/{rest=**}")]);
        let backwards =
            router(&[("GET", "/v1/{rest=**}"), ("GET", "/v1/jobs/special"), ("GET", "/v1/{name=jobs/*}")]);
        assert_eq!(index(&forwards, "GET", "/v1/jobs/special"), Some(1));
        assert_eq!(index(&backwards, "GET", "/v1/jobs/special"), Some(1));
        assert_eq!(index(&forwards, "GET", "/v1/jobs/x"), Some(0));
        assert_eq!(index(&forwards, "GET", "/v1/jobs/x/y"), Some(2));
    }

    /// G03: a literal with a verb owns its URL, for its methods only.
    #[test]
    fn a_literal_with_a_verb_owns_its_url() {
        let router = router(&[("POST", "/v1/jobs/{n}:cancel"), ("GET", "/v1/jobs/special:cancel")]);
        assert_eq!(index(&router, "GET", "/v1/jobs/special:cancel"), Some(1));
        assert_eq!(
            router.find(&Method::POST, "/v1/jobs/special:cancel"),
            Found::WrongMethod(vec![Method::GET])
        );
        assert_eq!(index(&router, "POST", "/v1/jobs/7:cancel"), Some(0));
    }

    /// G04: a verb after `**`.
    #[test]
    fn a_verb_follows_any_number_of_segments() {
        let router = router(&[("POST", "/v1/{name=**}:purge")]);
        let Found::Route { segments, .. } = router.find(&Method::POST, "/v1/a/b:purge") else {
            panic!("no route")
        };
        assert_eq!(segments, ["v1", "a", "b"]);
    }

    #[test]
    fn empty_segments_never_match() {
        let router = router(&[("GET", "/v1/{name=**}"), ("GET", "/v1/a/{b}")]);
        for path in ["/v1/", "/v1//a", "/v1/a/", "//v1", "/", "", "v1/a/b"] {
            assert_eq!(router.find(&Method::GET, path), Found::Nothing, "{path}");
        }
        assert_eq!(index(&router, "GET", "/v1"), Some(0));
    }

    #[test]
    fn the_same_shape_and_method_twice_is_reported() {
        let mut router = router(&[("GET", "/v1/{a=*}")]);
        let other = Template::parse("/v1/{b}").unwrap();
        assert_eq!(router.insert(&other, Accepts::Only(Method::GET), 1), Some(0));
        assert_eq!(router.insert(&other, Accepts::Only(Method::PUT), 2), None);
    }
}
