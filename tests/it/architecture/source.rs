//! A Rust file as the rules read it: comments, strings and code told apart.
use std::{fs, path::Path};

/// One file of the tree.
pub struct Source {
    /// Relative to the package, with `/`.
    pub path: String,
    pub text: String,
    /// The text with comments and the contents of literals blanked; as long as the text, line for line.
    pub code: String,
    /// String literals with the byte at which each begins.
    pub strings: Vec<(usize, String)>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, strings) = lex(text);
        Self { path: path.to_owned(), text: text.to_owned(), code, strings }
    }

    /// The line, from 1, on which the byte `at` stands.
    pub fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// The code above the unit tests.
    pub fn untested_code(&self) -> &str {
        self.code.find("#[cfg(test)]").map_or(&self.code, |at| &self.code[..at])
    }

    /// Whether the module's comment, in the first lines, gives `word` a reason: `//! Long because: …`.
    pub fn excused(&self, word: &str) -> bool {
        let opening = format!("//! {word} because: ");
        self.text.lines().take(12).any(|line| line.strip_prefix(&opening).is_some_and(|why| why.len() > 10))
    }
}

/// Every Rust file below the given folders of the package.
pub fn tree(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut waiting: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn lex(text: &str) -> (String, Vec<(usize, String)>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut strings = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'/')) => text[at..].find('\n').map_or(bytes.len(), |length| at + length),
            (b'/', Some(b'*')) => block_comment(bytes, at),
            (b'"', _) => string(bytes, at, &mut strings),
            (b'r', Some(b'"' | b'#')) if !in_word(bytes, at) => raw_string(text, at, &mut strings),
            (b'\'', _) => character(text, at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    (String::from_utf8(code).unwrap(), strings)
}

fn in_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

fn string(bytes: &[u8], start: usize, strings: &mut Vec<(usize, String)>) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let end = at.min(bytes.len());
    strings.push((start, String::from_utf8_lossy(&bytes[start + 1..end]).into_owned()));
    (end + 1).min(bytes.len())
}

fn raw_string(text: &str, start: usize, strings: &mut Vec<(usize, String)>) -> usize {
    let hashes = text[start + 1..].bytes().take_while(|byte| *byte == b'#').count();
    let open = start + 1 + hashes;
    if text.as_bytes().get(open) != Some(&b'"') {
        return start; // r#word
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let length = text[open + 1..].find(&close).unwrap_or(text.len() - open - 1);
    strings.push((start, text[open + 1..open + 1 + length].to_owned()));
    (open + 1 + length + close.len()).min(text.len())
}

/// The end of a character literal; `start` itself for a lifetime.
fn character(text: &str, start: usize) -> usize {
    let mut rest = text[start + 1..].char_indices();
    let end = match rest.next() {
        Some((_, '\\')) => text[start + 3..].find('\'').map(|length| start + 3 + length + 1),
        Some(_) => rest.next().filter(|(_, c)| *c == '\'').map(|(length, _)| start + 1 + length + 1),
        None => None,
    };
    end.unwrap_or(start)
}
