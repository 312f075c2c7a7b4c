//! Keys that development makes for itself and keeps: one key a file, readable by its owner alone.
//!
//! Edge and core may start at the same moment over the same data directory. A key is therefore written whole under another
//! name and then linked to its own, which fails if it exists: whoever comes second takes the first one's key. Everyone returns
//! what the file says, never what they made.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use crate::random;

/// A longer file is something else than a key.
const MOST_BYTES: u64 = 4096;

/// The key in `path`, without surrounding blanks; if there is no such file, `make`'s key, which then stands in it.
///
/// Directories are made with mode 0700, the file with 0600. A file that others may read is used, with a warning in the log.
/// Errors name the path: what cannot be read or written, and files that are empty, too long or not text.
pub fn read_or_create(path: &Path, make: impl FnOnce() -> String) -> io::Result<SecretString> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    create(path, &make()).map_err(|error| named(path, error))?;
    read(path)
}

/// Writes `key` into `path` for its owner alone, in place of what may be there; on disk when it returns.
pub fn write(path: &Path, key: &str) -> io::Result<()> {
    let temporary = temporary_name(path);
    let written = write_private(&temporary, key).and_then(|()| replace(&temporary, path));
    if written.is_err() {
        // What is left of it is a secret.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(|error| named(path, error))
}

/// Gives a key file another's name, at once: whoever looks finds one of the two.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn read(path: &Path) -> io::Result<SecretString> {
    let file = File::open(path).map_err(|error| named(path, error))?;
    let mode = file.metadata().map_err(|error| named(path, error))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others may read this key file; `chmod 600` it");
    }
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| named(path, error))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(unusable(path, "is too long for a key file"));
    }
    let key = text.trim();
    if key.is_empty() {
        return Err(unusable(path, "is an empty key file; remove it to have a new key made"));
    }
    Ok(SecretString::from(key))
}

fn create(path: &Path, key: &str) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;

    let temporary = temporary_name(path);
    let written = write_private(&temporary, key).and_then(|()| publish(&temporary, path));
    // After a rename there is nothing left to remove; after anything else there is.
    let _ = fs::remove_file(&temporary);
    written?;
    File::open(directory)?.sync_all()
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut unique = [0; 8];
    random::fill_secret(&mut unique);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", hex::encode(unique)));
    PathBuf::from(name)
}

fn write_private(path: &Path, key: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{key}")?;
    file.sync_all()
}

/// Gives `temporary` its real name, unless another process was first.
fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Some network and removable file systems have no hard links. There a rename has to do: it is atomic too, but of two
        // processes that start in the same instant, the first may hold a key that the second replaced.
        Err(_) if !path.exists() => fs::rename(temporary, path),
        linked => linked,
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("key file {}: {error}", path.display()))
}

fn unusable(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use secrecy::ExposeSecret as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data/keys/admin.key");

        let made = read_or_create(&path, || "first".into()).unwrap();
        let found = read_or_create(&path, || panic!("there is a key")).unwrap();

        assert_eq!((made.expose_secret(), found.expose_secret()), ("first", "first"));
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn racing_processes_end_with_one_key() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data/admin.key");
        let barrier = Barrier::new(8);
        let start = |index: usize| {
            barrier.wait();
            read_or_create(&path, || format!("key-{index}")).unwrap().expose_secret().to_owned()
        };
        let keys: Vec<String> = thread::scope(|scope| {
            let racers: Vec<_> = (0..8).map(|index| scope.spawn(move || start(index))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), keys[0]);
    }

    #[test]
    fn a_file_without_a_key_is_an_error_and_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("admin.key");
        fs::write(&path, " \n").unwrap();
        let error = read_or_create(&path, || panic!("nothing is made")).unwrap_err().to_string();
        assert!(error.contains("admin.key is an empty key file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), " \n");
    }

    #[test]
    fn blanks_around_a_key_do_not_belong_to_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("admin.key");
        fs::write(&path, "  spaced\r\n").unwrap();
        assert_eq!(read_or_create(&path, String::new).unwrap().expose_secret(), "spaced");
    }
}
