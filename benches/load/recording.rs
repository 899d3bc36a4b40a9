//! The statements of one request as PostgreSQL received them, made into a script for pgbench: a ceiling is
//! measured with what the handler issues today, not with what somebody wrote down once.

use std::{fmt::Write as _, time::Duration};

use super::services::Services;

/// What pgbench runs, and the constants in it.
pub struct Script {
    pub text: String,
    pub define: Vec<(String, String)>,
}

/// The statements of one request.
pub struct Recording(Vec<Recorded>);

#[derive(Debug)]
struct Recorded {
    sql: String,
    /// SQL literals, in the order of `$1`, `$2`, …
    parameters: Vec<String>,
}

/// How a repetition differs from the request that was recorded.
#[derive(Default)]
pub struct Variation {
    /// Meta commands at the beginning. They may use `:client_id`, `:i` (counts each client's transactions) and
    /// `:n` (different in every transaction of every run).
    pub prelude: String,
    /// What stands for a parameter of this value.
    pub values: Vec<(String, String)>,
    /// What stands for a parameter of this value the first time.
    pub first: Vec<(String, String)>,
    /// What stands for a parameter that becomes this column of a new row (`table.column`), or that a column is
    /// compared or set to (`column`).
    pub columns: Vec<(&'static str, &'static str)>,
    /// Statements that begin so answer one row, whose columns become variables with this prefix.
    pub answers: Vec<(&'static str, &'static str)>,
}

impl Recording {
    /// Has PostgreSQL log what the second of two requests causes: the first one brings back what the server
    /// remembers for a moment, such as the session. Nothing else may use the database meanwhile.
    pub async fn of(services: &Services, request: impl AsyncFn(u64)) -> Self {
        services.sql(&[
            "alter system set log_line_prefix = '%a '",
            "alter system set log_statement = 'all'",
            "select pg_reload_conf()",
        ]);
        // The server's sessions read the setting when the signal reaches them.
        tokio::time::sleep(Duration::from_millis(300)).await;
        request(0).await;
        // The server notes aside that a session was used.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let before = services.log().len();
        request(1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let log = services.log();
        services.sql(&["alter system reset log_statement", "select pg_reload_conf()"]);
        Self(read(&log[before..]))
    }

    /// What the statements are about, in their order.
    pub fn summary(&self) -> String {
        let about = |recorded: &Recorded| {
            let plain = recorded.sql.replace('"', "").to_lowercase();
            let mut words = plain.split_whitespace();
            match words.next().unwrap_or_default() {
                "select" => {
                    let table = words.skip_while(|word| *word != "from").nth(1).unwrap_or_default();
                    format!("select {table}")
                }
                "insert" => format!("insert {}", words.nth(1).unwrap_or_default()),
                "update" => format!("update {}", words.next().unwrap_or_default()),
                other => other.to_owned(),
            }
        };
        self.0.iter().map(about).collect::<Vec<_>>().join(", ")
    }

    /// The statements with their parameters in them.
    pub fn literal(&self) -> Vec<String> {
        let literal = |recorded: &Recorded| {
            // From the last: `$1` is also how `$10` begins.
            let parameters = recorded.parameters.iter().enumerate().rev();
            parameters
                .fold(recorded.sql.clone(), |sql, (at, value)| sql.replace(&format!("${}", at + 1), value))
        };
        self.0.iter().map(literal).collect()
    }

    /// The script that repeats the request; `run` tells the runs of one bench apart.
    pub fn script(&self, run: u64, clients: usize, vary: &Variation) -> Script {
        let mut repeat = Repeat { vary, fresh: self.made(vary), firsts: 0, define: Vec::new() };
        let body: String = self.0.iter().map(|recorded| repeat.line(recorded)).collect();
        let mut text = String::from("\\set i :i + 1\n");
        let _ = writeln!(text, "\\set n {} + :i * {clients} + :client_id", run * 1_000_000_000);
        let _ = writeln!(text, "{}", vary.prelude);
        for number in 0..repeat.fresh.len() {
            let _ = writeln!(text, "\\set u{number} :n * 32 + {number}");
        }
        repeat.define.push(("i".to_owned(), "0".to_owned()));
        Script { text: text + &body, define: repeat.define }
    }

    /// The ids that the request made.
    fn made(&self, vary: &Variation) -> Vec<String> {
        let mut made = Vec::new();
        for recorded in &self.0 {
            for (number, name) in columns(&recorded.sql) {
                let value = recorded.parameters[number - 1].trim_matches('\'').to_owned();
                let known = vary.values.iter().any(|(known, _)| *known == value) || made.contains(&value);
                if name.ends_with(".id") && is_uuid(&value) && !known {
                    made.push(value);
                }
            }
        }
        made
    }
}

/// A script in the making.
struct Repeat<'a> {
    vary: &'a Variation,
    /// Ids that are others in each repetition, the same wherever they stand.
    fresh: Vec<String>,
    /// How many of the firsts are through.
    firsts: usize,
    define: Vec<(String, String)>,
}

impl Repeat<'_> {
    fn line(&mut self, recorded: &Recorded) -> String {
        let columns = columns(&recorded.sql);
        let (mut sql, mut rest) = (String::new(), recorded.sql.as_str());
        while let Some(at) = rest.find('$') {
            sql.push_str(&rest[..at]);
            let digits = rest[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
            let number: usize = rest[at + 1..at + 1 + digits].parse().expect("a parameter has a number");
            rest = &rest[at + 1 + digits..];
            let column =
                columns.iter().find(|(parameter, _)| *parameter == number).map(|(_, name)| name.clone());
            let column = column.or_else(|| beside(&sql));
            sql.push_str(&self.parameter(&recorded.parameters[number - 1], column.as_deref()));
        }
        sql.push_str(rest);
        let sql = sql.replace(['\n', '\t'], " ");
        let plain = sql.to_lowercase().replace('"', "");
        match self.vary.answers.iter().find(|(start, _)| plain.starts_with(start)) {
            Some((_, prefix)) => format!("{sql} \\gset {prefix}\n"),
            None => format!("{sql};\n"),
        }
    }

    /// What stands for a parameter.
    fn parameter(&mut self, literal: &str, column: Option<&str>) -> String {
        if let Some((_, expression)) = self.vary.columns.iter().find(|(name, _)| Some(*name) == column) {
            return (*expression).to_owned();
        }
        let Some(value) = literal.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) else {
            return literal.to_owned();
        };
        let value = value.replace("''", "'");
        if let Some((_, expression)) = self.vary.first.get(self.firsts).filter(|(known, _)| *known == value) {
            self.firsts += 1;
            return expression.clone();
        }
        if let Some((_, expression)) = self.vary.values.iter().find(|(known, _)| *known == value) {
            return expression.clone();
        }
        if is_time(&value) {
            // The messengers' clocks tell seconds.
            let whole = if value.contains('.') { "now()" } else { "date_trunc('second', now())" };
            return whole.to_owned();
        }
        if let Some(number) = self.fresh.iter().position(|made| *made == value) {
            return format!("lpad(to_hex(:u{number}::bigint), 32, '0')::uuid");
        }
        let known = self.define.iter().position(|(_, known)| *known == value);
        let number = known.unwrap_or_else(|| {
            self.define.push((format!("k{}", self.define.len()), value));
            self.define.len() - 1
        });
        format!(":k{number}")
    }
}

/// The column that the next parameter is compared or set to.
fn beside(sql: &str) -> Option<String> {
    let before = sql.strip_suffix(" = ")?;
    let name = before.rsplit([' ', '.', '(']).next()?;
    Some(name.trim_matches('"').to_owned())
}

fn is_uuid(value: &str) -> bool {
    value.len() == 36 && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Such as `2026-11-21 18:00:00.5+00`.
fn is_time(value: &str) -> bool {
    value.len() >= 20 && value.as_bytes()[4] == b'-' && value.as_bytes()[10] == b' ' && value.ends_with("+00")
}

/// Which parameter becomes which column of an `insert`.
fn columns(sql: &str) -> Vec<(usize, String)> {
    let plain = sql.replace('"', "");
    let lower = plain.to_lowercase();
    let Some(head) = lower.strip_prefix("insert into ") else { return Vec::new() };
    let Some((table, rest)) = head.split_once(" (") else { return Vec::new() };
    let Some((names, values)) = rest.split_once(") values ") else { return Vec::new() };
    let values = values.split(" on conflict").next().unwrap_or_default();
    let names: Vec<_> = names.split(',').map(str::trim).collect();
    let mut found = Vec::new();
    let (mut depth, mut place) = (0, 0);
    for (at, symbol) in values.char_indices() {
        match symbol {
            '(' => {
                depth += 1;
                place = if depth == 1 { 0 } else { place };
            }
            ')' => depth -= 1,
            ',' if depth == 1 => place += 1,
            '$' if depth == 1 => {
                let digits: String = values[at + 1..].chars().take_while(char::is_ascii_digit).collect();
                if let (Ok(number), Some(name)) = (digits.parse(), names.get(place)) {
                    found.push((number, format!("{table}.{name}")));
                }
            }
            _ => {}
        }
    }
    found
}

/// The server's statements in PostgreSQL's log.
fn read(log: &str) -> Vec<Recorded> {
    let mut found: Vec<Recorded> = Vec::new();
    for entry in log.replace("\n\t", "\n ").lines().fold(Vec::<String>::new(), |mut entries, line| {
        match entries.last_mut() {
            Some(last) if line.starts_with(' ') => {
                last.push('\n');
                last.push_str(line);
            }
            _ => entries.push(line.to_owned()),
        }
        entries
    }) {
        let Some(entry) = entry.strip_prefix("switchboard ") else { continue };
        if let Some(text) = entry.strip_prefix("LOG:  ") {
            let statement = text.strip_prefix("statement: ");
            let executed =
                text.strip_prefix("execute ").and_then(|text| text.split_once(": ")).map(|(_, sql)| sql);
            if let Some(sql) = statement.or(executed) {
                found.push(Recorded {
                    sql: sql.trim().trim_end_matches(';').to_owned(),
                    parameters: Vec::new(),
                });
            }
        } else if let Some(text) = entry.strip_prefix("DETAIL:  ")
            && let Some((_, list)) = text.split_once("arameters: ")
            && let Some(last) = found.last_mut()
        {
            last.parameters = parameters(list);
        }
    }
    found
}

/// `$1 = 'a', $2 = NULL` as literals.
fn parameters(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = list;
    while let Some((_, value)) = rest.split_once(" = ") {
        let end = match value.strip_prefix('\'') {
            None => value.find(',').unwrap_or(value.len()),
            Some(quoted) => {
                let bytes = quoted.as_bytes();
                let mut at = 0;
                // A quote inside is doubled.
                while at < bytes.len() && (bytes[at] != b'\'' || bytes.get(at + 1) == Some(&b'\'')) {
                    at += if bytes[at] == b'\'' { 2 } else { 1 };
                }
                at + 2
            }
        };
        found.push(value[..end].trim().to_owned());
        rest = &value[end..];
    }
    found
}
