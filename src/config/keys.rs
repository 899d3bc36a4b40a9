//! The keys of this installation: given as settings, or kept in a file beside an embedded database.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{SecretBox, SecretString};

use super::{Config, parse};

/// A key that wraps the data keys of tenants.
#[derive(Clone, Debug)]
pub struct MasterKey {
    /// Names it in what it wrapped.
    pub id: String,
    pub key: Arc<SecretBox<[u8; 32]>>,
}

/// The keys of this installation.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The first wraps; all unwrap.
    pub master: Vec<MasterKey>,
    /// Without it, stolen password hashes cannot be tried.
    pub pepper: SecretString,
}

/// What the settings say.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) master: Option<Vec<MasterKey>>,
    pub(super) pepper: Option<SecretString>,
}

impl Config {
    /// The keys of this installation. What the settings leave out is read from the key file beside the
    /// embedded database, which is made (mode 0600, from `fresh` random bytes) when it is missing.
    pub fn keys(&self, fresh: impl Fn() -> [u8; 32]) -> io::Result<Keys> {
        if let Given { master: Some(master), pepper: Some(pepper) } = &self.keys {
            return Ok(Keys { master: master.clone(), pepper: pepper.clone() });
        }
        let path = self.key_file();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path, &fresh)?,
            text => text?,
        };
        let kept =
            parse_file(&text).ok_or_else(|| io::Error::other(format!("{} holds no keys", path.display())))?;
        Ok(Keys {
            master: self.keys.master.clone().unwrap_or(kept.master),
            pepper: self.keys.pepper.clone().unwrap_or(kept.pepper),
        })
    }

    fn key_file(&self) -> PathBuf {
        let file = self.database_file().map(|(file, _)| file).unwrap_or_default();
        let folder = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => &self.data_dir,
        };
        folder.join("switchboard.keys")
    }
}

fn parse_file(text: &str) -> Option<Keys> {
    let value = |name| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    Some(Keys {
        master: parse::master_keys(value("SWITCHBOARD_MASTER_KEY")?).ok()?,
        pepper: value("SWITCHBOARD_PEPPER")?.into(),
    })
}

/// Makes the file whole or not at all; when another process was faster, its file stands.
fn create(path: &Path, fresh: &impl Fn() -> [u8; 32]) -> io::Result<String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let key = fresh();
    // The name comes from chance too, so that a value sealed under a lost key says which key it misses.
    let name = hex::encode(&fresh()[..4]);
    let text = format!(
        "# Without these keys nobody can read the secrets in the database or check a password. Keep a copy.\n\
         SWITCHBOARD_MASTER_KEY=local-{name}:{}\nSWITCHBOARD_PEPPER={}\n",
        STANDARD.encode(key),
        STANDARD.encode(fresh()),
    );
    let draft = folder.join(format!(".switchboard.keys.{}", hex::encode(&fresh()[..8])));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::unix::fs::PermissionsExt};

    use secrecy::ExposeSecret;

    use super::*;

    fn bytes() -> impl Fn() -> [u8; 32] {
        let next = Cell::new(0);
        move || {
            next.set(next.get() + 1);
            [next.get(); 32]
        }
    }

    #[test]
    fn an_embedded_server_makes_its_keys_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}?mode=rwc", folder.path().join("shop.db").display());
        let read = || Config::read(|name| (name == "DATABASE_URL").then(|| database.clone()), None).unwrap();

        let first = read().keys(bytes()).unwrap();
        let again = read().keys(|| [99; 32]).unwrap();

        assert_eq!(first.master[0].id, again.master[0].id);
        assert_eq!(first.master[0].key.expose_secret(), again.master[0].key.expose_secret());
        assert_eq!(first.pepper.expose_secret(), again.pepper.expose_secret());
        let file = folder.path().join("switchboard.keys");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        fs::write(&file, "SWITCHBOARD_MASTER_KEY=short\n").unwrap();
        assert!(read().keys(bytes()).unwrap_err().to_string().contains("holds no keys"));
    }

    #[test]
    fn given_keys_need_no_file() {
        let key = STANDARD.encode([7; 32]);
        let config = Config::read(
            |name| match name {
                "DATABASE_URL" => Some("postgres://h/db".into()),
                "SWITCHBOARD_MASTER_KEY" => Some(format!("new:{key},old:{}", STANDARD.encode([8; 32]))),
                "SWITCHBOARD_PEPPER" => Some("a long enough pepper".into()),
                _ => None,
            },
            None,
        );
        let keys = config.unwrap().keys(|| panic!("nothing to make")).unwrap();
        let ids: Vec<_> = keys.master.iter().map(|key| key.id.as_str()).collect();
        assert_eq!(ids, ["new", "old"]);
        assert_eq!(keys.master[1].key.expose_secret(), &[8; 32]);
        let shown = format!("{keys:?}");
        assert!(!shown.contains("8, 8") && !shown.contains("long enough"), "{shown}");
    }
}
