use std::fmt;

/// One setting in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable's name.
    pub name: String,
    /// As text; `********` for a secret that is set; empty when unset.
    pub value: String,
    pub source: Source,
}

/// Where a setting came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    File,
    Environment,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<38} {:<12} {}", self.name, self.source, self.value)
    }
}

/// A URL without its password.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // Query parameters may repeat the password.
    let path = path.split('?').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:********@{host}{path}")
        }
        None => format!("{scheme}://{authority}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_urls() {
        for (url, shown) in [
            ("postgres://u:p@h:5432/db", "postgres://u:********@h:5432/db"),
            ("postgres://u:p%40@h/db?password=p", "postgres://u:********@h/db"),
            ("postgres://u:p@ss@h/db", "postgres://u:********@h/db"),
            ("redis://:p@h:6379/0", "redis://:********@h:6379/0"),
            ("redis://h:6379", "redis://h:6379"),
            ("sqlite:./x.db?mode=rwc", "sqlite:./x.db?mode=rwc"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
