//! Text to values; the errors say what was expected and never repeat a secret.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use redis::IntoConnectionInfo;
use secrecy::{SecretBox, SecretString};
use sqlx::postgres::PgConnectOptions;

use super::{LogFormat, MasterKey, Rate, Roles};

pub(super) type Parsed<T> = Result<T, String>;

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| format!("expected an address such as 127.0.0.1:8080, got `{text}`"))
}

/// A whole number within bounds.
pub(super) fn number<const LEAST: u64, const MOST: u64>(text: &str) -> Parsed<u64> {
    let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {LEAST} to {MOST}, got `{text}`"))
}

pub(super) fn flag(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("expected true or false, got `{text}`")),
    }
}

/// Any text; emptiness counts as unset before this is asked.
pub(super) fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// The parts of a list that commas separate.
pub(super) fn list<T>(text: &str, item: impl Fn(&str) -> Parsed<T>) -> Parsed<Vec<T>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(item).collect()
}

/// A file that can be read.
pub(super) fn file(text: &str) -> Parsed<PathBuf> {
    let problem = match std::fs::File::open(text).and_then(|file| file.metadata()) {
        Ok(found) if found.is_file() => return Ok(text.into()),
        Ok(_) => "it is no file".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!("cannot read {text}: {problem}"))
}

/// `http(s)://host…` without credentials, query or slash at the end.
pub(super) fn url(text: &str) -> Parsed<String> {
    let wrong = || format!("expected a URL such as https://api.example.com, got `{text}`");
    // Both are places where passwords stand: such a text is not repeated.
    if text.contains(['@', '?']) {
        return Err(
            "expected a URL such as https://api.example.com, without user, password or query".to_owned()
        );
    }
    let parsed: http::Uri = text.parse().map_err(|_| wrong())?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.authority().is_none() {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// `scheme://host[:port]`, as browsers send it.
pub(super) fn origin(text: &str) -> Parsed<String> {
    let url = url(text)?;
    if url.matches('/').count() > 2 {
        return Err(format!("expected an origin such as https://app.example.com, got `{text}`"));
    }
    Ok(url.to_ascii_lowercase())
}

pub(super) fn database_url(text: &str) -> Parsed<SecretString> {
    let wrong = || "expected postgres://user:password@host:5432/database or sqlite:file".to_owned();
    match text.split_once(':') {
        // Each connection would have a database of its own.
        Some(("sqlite", rest)) if rest.contains(":memory:") || rest.contains("mode=memory") => {
            Err("expected sqlite:file; a database in memory is not kept".to_owned())
        }
        Some(("sqlite", rest)) if !rest.is_empty() => Ok(text.into()),
        // The same reading as that of the connection; what it says about a URL may repeat the password.
        Some(("postgres" | "postgresql", _)) => match text.parse::<PgConnectOptions>() {
            Ok(_) => Ok(text.into()),
            Err(_) => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

pub(super) fn redis_url(text: &str) -> Parsed<SecretString> {
    let wrong = || "expected redis://host:6379 (without TLS)".to_owned();
    match text.split_once("://") {
        Some(("redis", rest)) if !rest.is_empty() => {
            text.into_connection_info().map_err(|_| wrong())?;
            Ok(text.into())
        }
        _ => Err(wrong()),
    }
}

/// `600/1m`: calls and the time in which they may come; `off` for no limit.
pub(super) fn rate(text: &str) -> Parsed<Option<Rate>> {
    if text == "off" {
        return Ok(None);
    }
    let wrong = || format!("expected a rate such as 600/1m or 5/15m, or off; got `{text}`");
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let count: u32 = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    let per = per.trim();
    let unit = per.trim_start_matches(|c: char| c.is_ascii_digit());
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let times: u64 = per[..per.len() - unit.len()].parse().map_err(|_| wrong())?;
    if times == 0 || times > 10_000 {
        return Err(wrong());
    }
    Ok(Some(Rate { count, per: Duration::from_secs(times * seconds) }))
}

pub(super) fn roles(text: &str) -> Parsed<Roles> {
    let mut roles = Roles { api: false, worker: false, relay: false };
    for role in list(text, self::text)? {
        match role.as_str() {
            "all" => roles = Roles::ALL,
            "api" => roles.api = true,
            "worker" => roles.worker = true,
            "relay" => roles.relay = true,
            _ => return Err(format!("expected all, or some of api, worker, relay; got `{role}`")),
        }
    }
    Ok(roles)
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("expected text or json, got `{text}`")),
    }
}

pub(super) fn email(text: &str) -> Parsed<String> {
    match text.split_once('@') {
        Some((local, host)) if !local.is_empty() && host.contains('.') => Ok(text.to_lowercase()),
        _ => Err(format!("expected an e-mail address, got `{text}`")),
    }
}

pub(super) fn secret(text: &str) -> Parsed<SecretString> {
    Ok(text.into())
}

pub(super) fn pepper(text: &str) -> Parsed<SecretString> {
    if text.len() < 16 { Err("expected at least 16 characters".to_owned()) } else { Ok(text.into()) }
}

/// `base64`, or `id:base64,id:base64`: the first wraps, all unwrap.
pub(super) fn master_keys(text: &str) -> Parsed<Vec<MasterKey>> {
    let keys = list(text, |part| {
        let (id, key) = part.split_once(':').unwrap_or(("v1", part));
        let bytes = STANDARD.decode(key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or("expected 32 bytes in base64, with an id in front when there are several")?;
        if id.is_empty() || id.len() > 32 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err("a key's id is 1 to 32 letters, digits or hyphens".to_owned());
        }
        Ok(MasterKey { id: id.to_owned(), key: Arc::new(SecretBox::new(Box::new(bytes))) })
    })?;
    let twice = keys.iter().enumerate().any(|(at, key)| keys[..at].iter().any(|other| other.id == key.id));
    match keys.len() {
        0 => Err("expected 32 bytes in base64".to_owned()),
        _ if twice => Err("two keys have the same id".to_owned()),
        _ => Ok(keys),
    }
}
