//! The path grammar of `google.api.http`: `/v1/{name=projects/*/widgets/*}:archive`.

/// One segment of a path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text, percent-decoded.
    Literal(String),
    /// `*`: exactly one segment.
    Any,
    /// `**`: zero or more segments, always last.
    Rest,
}

/// A request field filled from the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Proto names from the request message to the field.
    pub field: Vec<String>,
    /// The first segment it captures.
    pub start: usize,
    /// One past the last segment it captures; `None` for all that remain.
    pub end: Option<usize>,
}

/// A parsed path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its segments, variables spread out.
    pub segments: Vec<Segment>,
    /// The custom verb after the last `:`.
    pub verb: Option<String>,
    /// Its variables in order of appearance.
    pub variables: Vec<Variable>,
}

impl Variable {
    /// True when the pattern spans more than one segment, so that `%2F` in it stays as written.
    pub fn is_multi_segment(&self) -> bool {
        self.end != Some(self.start + 1)
    }
}

impl Template {
    /// Parses `text`, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text, segments: Vec::new(), variables: Vec::new() };
        parser.expect('/')?;
        parser.segments(false)?;
        let verb = if parser.eat(':') { Some(parser.literal()?) } else { None };
        if let Some(next) = parser.rest.chars().next() {
            return Err(format!("unexpected `{next}` before `{}`", &parser.rest[next.len_utf8()..]));
        }
        let last = parser.segments.len() - 1;
        if parser.segments[..last].contains(&Segment::Rest) {
            return Err("`**` must be the last segment".into());
        }
        Ok(Self { segments: parser.segments, verb, variables: parser.variables })
    }
}

struct Parser<'t> {
    rest: &'t str,
    segments: Vec<Segment>,
    variables: Vec<Variable>,
}

impl Parser<'_> {
    fn eat(&mut self, wanted: char) -> bool {
        self.rest.strip_prefix(wanted).map(|rest| self.rest = rest).is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.eat(wanted) { Ok(()) } else { Err(format!("expected `{wanted}` before `{}`", self.rest)) }
    }

    fn segments(&mut self, inside_variable: bool) -> Result<(), String> {
        loop {
            self.segment(inside_variable)?;
            if !self.eat('/') {
                return Ok(());
            }
        }
    }

    fn segment(&mut self, inside_variable: bool) -> Result<(), String> {
        if self.eat('*') {
            let segment = if self.eat('*') { Segment::Rest } else { Segment::Any };
            self.segments.push(segment);
            return Ok(());
        }
        if self.eat('{') {
            if inside_variable {
                return Err("a variable inside a variable".into());
            }
            return self.variable();
        }
        let literal = self.literal()?;
        self.segments.push(Segment::Literal(literal));
        Ok(())
    }

    fn variable(&mut self) -> Result<(), String> {
        let mut field = vec![self.identifier()?];
        while self.eat('.') {
            field.push(self.identifier()?);
        }
        let start = self.segments.len();
        if self.eat('=') {
            self.segments(true)?;
        } else {
            self.segments.push(Segment::Any);
        }
        self.expect('}')?;
        if self.variables.iter().any(|variable| variable.field == field) {
            return Err(format!("the variable `{}` appears twice", field.join(".")));
        }
        let end = (self.segments.last() != Some(&Segment::Rest)).then_some(self.segments.len());
        self.variables.push(Variable { field, start, end });
        Ok(())
    }

    fn identifier(&mut self) -> Result<String, String> {
        let length = self.rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let (name, rest) = self.rest.split_at(length);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(format!("expected a field name before `{}`", self.rest));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn literal(&mut self) -> Result<String, String> {
        let length = self.rest.bytes().take_while(|b| is_literal(*b)).count();
        let (text, rest) = self.rest.split_at(length);
        if text.is_empty() {
            return Err(match rest.chars().next() {
                Some(next) => format!("expected a segment before `{next}`"),
                None => "expected a segment at the end".into(),
            });
        }
        self.rest = rest;
        super::percent::decode(text).map_err(|problem| format!("{problem} in `{text}`"))
    }
}

fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=@%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_spreads_its_variables() {
        let parsed = Template::parse("/v1/{name=projects/*/widgets/*}:archive").unwrap();
        assert_eq!(parsed.verb.as_deref(), Some("archive"));
        assert_eq!(parsed.segments.len(), 5);
        assert_eq!(parsed.variables, [Variable { field: vec!["name".into()], start: 1, end: Some(5) }]);
        assert!(parsed.variables[0].is_multi_segment());
        assert!(!Template::parse("/v1/{a.b_c}").unwrap().variables[0].is_multi_segment());
        assert_eq!(Template::parse("/v1/{name=**}").unwrap().variables[0].end, None);
        assert_eq!(
            Template::parse("/v1/a%2Cb").unwrap().segments,
            Template::parse("/v1/a,b").unwrap().segments
        );
    }

    /// Every malformed template of the startup table is refused.
    #[test]
    fn malformed_templates_are_refused() {
        for text in [
            "",
            "/",
            "/{1}",
            "/{field-}",
            "/foo/bar/",
            "foo/bar",
            "/foo//bar",
            "/foo/bar*",
            "/a/***",
            "/foo/**/bar",
            "/foo?x",
            "/foo bar",
            "/v1/{a}{b}",
            "/v1/x{a}",
            "/v1/{a}x",
            "/v1/{a={b}}",
            "/v1/{a}/{a}",
            "/v1/%1",
            "/v1/%zz",
            "/v1/{a",
            "/v1/a:",
            "/v1/a:b:c",
            "/v1/{a=}",
            "/v1/{a=**/b}",
            "/v1/{a=**}/b",
        ] {
            assert!(Template::parse(text).is_err(), "{text} was accepted");
        }
    }
}
