//! Which database a URL means. People bring the URLs of other programs, so their forms are understood too.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::{Config, Problem};

/// The file in `data.dir` that is used when no URL is set.
const DEFAULT_FILE: &str = "llm_orchestrator.db";

/// A database to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseTarget {
    /// A SQLite file.
    Sqlite {
        /// Where it lies; relative to the working directory if the URL says so.
        path: PathBuf,
    },
}

impl Config {
    /// The database of this configuration: `database.url`, by default `llm_orchestrator.db` in `data.dir`.
    ///
    /// # Errors
    /// The URL is none that is understood. This cannot happen to a configuration that [`load`](super::load()) returned.
    pub fn database_target(&self) -> Result<DatabaseTarget, Problem> {
        let Some(url) = &self.database.url else {
            return Ok(DatabaseTarget::Sqlite { path: self.data.dir.join(DEFAULT_FILE) });
        };
        parse(url.expose_secret()).map_err(|message| Problem::of("database.url", "DATABASE_URL", message))
    }
}

/// Reads `sqlite:PATH`, `sqlite://PATH` and SQLAlchemy's `sqlite+DRIVER:///PATH`. The message never quotes the URL.
///
/// The two differ in what three slashes mean. Usually `sqlite://` is followed by a path, so `sqlite:///a` is `/a`; SQLAlchemy has
/// an empty host there, so `sqlite+aiosqlite:///a` is the relative `a`, and four slashes make it absolute
/// (<https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#connect-strings>). Without a driver `/./a` and `/../a` are taken
/// as SQLAlchemy's too, since nobody writes those as absolute paths.
pub(super) fn parse(url: &str) -> Result<DatabaseTarget, String> {
    let (scheme, rest) =
        url.split_once(':').ok_or("is not a URL such as sqlite://data/llm_orchestrator.db")?;
    let (name, driver) = scheme.split_once('+').map_or((scheme, None), |(name, driver)| (name, Some(driver)));
    match name.to_ascii_lowercase().as_str() {
        "sqlite" | "sqlite3" => {}
        "mysql" | "mariadb" | "postgres" | "postgresql" => {
            return Err(format!("{name} is not supported by this build yet: use sqlite"));
        }
        _ => return Err("has a scheme that is not understood: use sqlite".to_owned()),
    }
    // Parameters are for other drivers; none of them changes which file it is.
    let location = rest.split('?').next().unwrap_or_default();
    let path = match (driver, location.strip_prefix("//")) {
        (Some(_), Some(path)) => {
            path.strip_prefix('/').ok_or("names a host; SQLAlchemy's form is sqlite+driver:///PATH")?
        }
        (None, Some(path)) if path.starts_with("/./") || path.starts_with("/../") => &path[1..],
        (None, Some(path)) => path,
        (_, None) => location,
    };
    if path.is_empty() || path.contains(":memory:") {
        return Err(
            "names no file; a database in memory would forget everything at the next start".to_owned()
        );
    }
    Ok(DatabaseTarget::Sqlite { path: Path::new(path).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_sqlite_url_means_its_file() {
        let cases = [
            ("sqlite:data/x.db", "data/x.db"),
            ("sqlite:/data/x.db", "/data/x.db"),
            ("sqlite://data/x.db", "data/x.db"),
            ("sqlite://./data/x.db?mode=rwc", "./data/x.db"),
            ("sqlite:///data/x.db", "/data/x.db"),
            ("sqlite:///./data/x.db", "./data/x.db"),
            ("sqlite:///../x.db", "../x.db"),
            ("SQLite+aiosqlite:///./data/x.db", "./data/x.db"),
            ("sqlite+pysqlite:///x.db", "x.db"),
            ("sqlite+aiosqlite:////var/lib/x.db", "/var/lib/x.db"),
        ];
        for (url, path) in cases {
            assert_eq!(parse(url), Ok(DatabaseTarget::Sqlite { path: path.into() }), "{url}");
        }
    }

    #[test]
    fn other_urls_say_what_is_wrong_and_never_their_password() {
        let cases = [
            ("mysql+aiomysql://u:p4ss@db/x", "mysql is not supported by this build yet: use sqlite"),
            ("postgres://u:p4ss@db/x", "postgres is not supported by this build yet: use sqlite"),
            ("p4ss://u:p4ss@db", "has a scheme that is not understood: use sqlite"),
            ("data/x.db", "is not a URL such as sqlite://data/llm_orchestrator.db"),
            ("sqlite+aiosqlite://p4ss/x.db", "names a host; SQLAlchemy's form is sqlite+driver:///PATH"),
            (
                "sqlite::memory:",
                "names no file; a database in memory would forget everything at the next start",
            ),
            ("sqlite://", "names no file; a database in memory would forget everything at the next start"),
        ];
        for (url, message) in cases {
            assert_eq!(parse(url), Err(message.to_owned()), "{url}");
        }
    }

    #[test]
    fn without_a_url_the_database_lies_in_the_data_directory() {
        let mut config = Config::default();
        config.data.dir = "/srv/llm".into();
        let path = PathBuf::from("/srv/llm/llm_orchestrator.db");
        assert_eq!(config.database_target(), Ok(DatabaseTarget::Sqlite { path }));
    }
}
