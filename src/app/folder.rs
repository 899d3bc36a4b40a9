//! The folder of an embedded database: nobody else may read it, and one process serves from it.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

use crate::config::Config;

/// Holds a database file for this process until the last clone is dropped, or the process is gone.
#[derive(Clone)]
pub(super) struct Hold {
    _file: Arc<File>,
}

/// Makes the folder (mode 0700) and the file (0600) of an embedded database where they are missing; its
/// journals take the file's mode. `None` with PostgreSQL.
pub(super) fn prepare(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let Some((file, make)) = config.database_file() else { return Ok(None) };
    if !make {
        return Ok(Some(file));
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    }
    // One that is there is not opened: closing it again would drop the locks that SQLite holds on it.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make {}", file.display()))
        }
        _ => Ok(Some(file)),
    }
}

/// Takes the database file for this process, or says that another one has it: two would each take the other's
/// running jobs for lost.
pub(super) fn hold(database: &Path) -> anyhow::Result<Hold> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
    let file = open.with_context(|| format!("cannot open {}", name.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Hold { _file: Arc::new(file) }),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another server runs on {}: SQLite serves one process; set DATABASE_URL and REDIS_URL for more",
            database.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", name.display()))
        }
    }
}
