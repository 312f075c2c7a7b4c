//! A consistent copy of a database that is being written to, and how the others' is made.
//!
//! A copy is made under another name beside its own and linked to that when it is whole and on disk: so a file of that name is never
//! half a copy, and one that is there is never replaced. It is for its owner's eyes alone.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use url::Url;

use super::store_error;
use crate::{
    error::{Error, ErrorKind, Result},
    store::Database,
};

/// Copies the database into a new file. Says how many bytes it has.
///
/// Errors: the file is there already; it cannot be written.
pub async fn copy(database: &Database, to: &Path) -> Result<u64> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("{}: {error}", to.display()))
    };
    if to.try_exists().map_err(failed)? {
        return Err(failed(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "is there already, and is not replaced",
        )));
    }
    let partial = partial(to);
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // An empty file is one that the database may fill, and keeps its mode.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(failed)?;
    let copied = match database.copy_into(&partial).await {
        Ok(()) => publish(&partial, to).map_err(failed),
        Err(error) => Err(store_error(error)),
    };
    // After a rename there is nothing left to remove.
    let _ = std::fs::remove_file(&partial);
    copied
}

/// Makes the copy last and gives it its name.
fn publish(partial: &Path, to: &Path) -> io::Result<u64> {
    let file = File::open(partial)?;
    file.sync_all()?;
    let bytes = file.metadata()?.len();
    match std::fs::hard_link(partial, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Some file systems have no hard links.
        Err(_) => std::fs::rename(partial, to)?,
        Ok(()) => {}
    }
    if let Some(folder) = to.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(bytes)
}

fn partial(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// The command that dumps a database which is no file into `file`: without its password, which the tool asks for. `None` for SQLite.
pub fn dump_command(url: &str, file: &Path) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
    let mysql = matches!(scheme.as_str(), "mysql" | "mariadb");
    if !mysql && !matches!(scheme.as_str(), "postgres" | "postgresql") {
        return None;
    }
    // A scheme that the standard knows, so that its parser finds host and port.
    let url = Url::parse(&format!("http://{rest}")).ok();
    let url = url.as_ref();
    let host = quoted(url.and_then(Url::host_str).unwrap_or("HOST"));
    let port = url.and_then(Url::port).unwrap_or(if mysql { 3306 } else { 5432 });
    let user = quoted(url.map(Url::username).filter(|user| !user.is_empty()).unwrap_or("USER"));
    let database = url.map(|url| url.path().trim_matches('/')).filter(|path| !path.is_empty());
    let database = quoted(database.unwrap_or("DATABASE"));
    let file = quoted(&file.to_string_lossy());
    Some(if mysql {
        format!(
            "mysqldump --single-transaction --hex-blob --no-tablespaces --skip-add-locks --default-character-set=utf8mb4 \
             --host={host} --port={port} --user={user} --password {database} > {file}"
        )
    } else {
        format!(
            "pg_dump --format=custom --host={host} --port={port} --username={user} --password --file={file} {database}"
        )
    })
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{
        audit::Stamp,
        catalog::samples,
        store::{CatalogChange, CatalogReader as _, CatalogWriter as _},
    };

    #[tokio::test]
    async fn a_copy_under_writes_is_whole_private_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let database = Database::open(&path).await.unwrap();
        let writing = database.clone();
        // Model and association come in one transaction: a copy has both or neither.
        let writes = async {
            let provider = CatalogChange::InsertProvider(Box::new(samples::provider("p", "p")), None);
            writing.apply(vec![provider], &Stamp::for_tests()).await.unwrap();
            for number in 0..100 {
                let (model, id) = (format!("m{number:03}"), format!("a{number:03}"));
                let changes = vec![
                    CatalogChange::InsertModel(Box::new(samples::model(&model, &model))),
                    CatalogChange::InsertModelProvider(Box::new(samples::model_provider(&id, &model, "p"))),
                ];
                writing.apply(changes, &Stamp::for_tests()).await.unwrap();
            }
        };
        let to = folder.path().join("copy.db");
        // A second process has connections of its own.
        let second = Database::connect_for_copy(&path).await.unwrap();
        let (bytes, ()) = tokio::join!(async { copy(&second, &to).await.unwrap() }, writes);
        let metadata = std::fs::metadata(&to).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (bytes, 0o600));
        let refused = copy(&second, &to).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
        assert!(refused.message.contains("is there already"), "{refused}");

        let copied = Database::open(&to).await.unwrap().load().await.unwrap();
        assert_eq!(copied.models.len(), copied.model_providers.len());
        assert_eq!(database.load().await.unwrap().models.len(), 100);
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains("partial")), "{names:?}");
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_made_to_be_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        assert!(Database::connect_for_copy(&path).await.is_err());
        assert!(!path.exists());
    }

    #[test]
    fn the_right_command_is_told_without_the_password() {
        let file = Path::new("my backup.sql");
        assert_eq!(dump_command("sqlite:///x.db", file), None);
        insta::assert_snapshot!(
            dump_command("mysql+aiomysql://ann:p4ss@db.internal/llm?charset=utf8mb4", file).unwrap(),
            @"mysqldump --single-transaction --hex-blob --no-tablespaces --skip-add-locks --default-character-set=utf8mb4 --host=db.internal --port=3306 --user=ann --password llm > 'my backup.sql'"
        );
        insta::assert_snapshot!(
            dump_command("postgres://ann:p4ss@db:5433/llm", file).unwrap(),
            @"pg_dump --format=custom --host=db --port=5433 --username=ann --password --file='my backup.sql' llm"
        );
    }
}
