//! Which database a URL means. People bring the URLs of other programs, so their forms are understood too.

mod server;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};

use super::{Config, Problem, sections::DatabaseType};
use crate::mask;

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
    /// A MySQL or MariaDB server.
    MySql {
        /// `mysql://USER:PASSWORD@HOST:PORT/DATABASE?ssl-mode=…`.
        url: ServerUrl,
    },
    /// A PostgreSQL server.
    Postgres {
        /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`.
        url: ServerUrl,
    },
}

/// A server's URL, which holds a password: shown, it is masked.
#[derive(Clone)]
pub struct ServerUrl(SecretString);

impl ServerUrl {
    /// The URL as it is, for the driver alone.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for ServerUrl {
    fn from(url: String) -> Self {
        Self(url.into())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask::url(self.expose()))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for ServerUrl {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for ServerUrl {}

impl DatabaseTarget {
    /// Its kind.
    pub fn kind(&self) -> DatabaseType {
        match self {
            Self::Sqlite { .. } => DatabaseType::Sqlite,
            Self::MySql { .. } => DatabaseType::MySql,
            Self::Postgres { .. } => DatabaseType::Postgres,
        }
    }

    /// Reads a URL in any of the forms that `database.url` may have.
    ///
    /// # Errors
    /// What is wrong with it; never the URL itself.
    pub fn parse(url: &str) -> Result<Self, String> {
        parse(url)
    }
}

impl Config {
    /// The database of this configuration: `database.url`, by default `llm_orchestrator.db` in `data.dir`.
    ///
    /// # Errors
    /// The URL is none that is understood, or is of another kind than `database.type`. This cannot happen to a configuration that
    /// [`load`](super::load()) returned.
    pub fn database_target(&self) -> Result<DatabaseTarget, Problem> {
        let target = match &self.database.url {
            None => DatabaseTarget::Sqlite { path: self.data.dir.join(DEFAULT_FILE) },
            Some(url) => parse(url.expose_secret())
                .map_err(|message| Problem::of("database.url", "DATABASE_URL", message))?,
        };
        let said = self.database.kind.unwrap_or(target.kind());
        if said == target.kind() {
            return Ok(target);
        }
        let message = match &self.database.url {
            Some(_) => format!("is {said}, but database.url is of {}", target.kind()),
            None => format!("is {said}, but no database.url says where that is"),
        };
        Err(Problem::of("database.type", "DATABASE_TYPE", message))
    }
}

pub(super) fn parse(url: &str) -> Result<DatabaseTarget, String> {
    let (scheme, rest) =
        url.split_once(':').ok_or("is not a URL such as sqlite://data/llm_orchestrator.db")?;
    let (name, driver) = scheme.split_once('+').map_or((scheme, None), |(name, driver)| (name, Some(driver)));
    match name.to_ascii_lowercase().as_str() {
        "sqlite" | "sqlite3" => sqlite(driver, rest),
        "mysql" | "mariadb" => server::mysql(rest).map(|url| DatabaseTarget::MySql { url }),
        "postgres" | "postgresql" => server::postgres(rest).map(|url| DatabaseTarget::Postgres { url }),
        _ => Err("has a scheme that is not understood: use sqlite, mysql or postgres".to_owned()),
    }
}

/// Reads `sqlite:PATH`, `sqlite://PATH` and SQLAlchemy's `sqlite+DRIVER:///PATH`.
///
/// The two differ in what three slashes mean. Usually `sqlite://` is followed by a path, so `sqlite:///a` is `/a`; SQLAlchemy has
/// an empty host there, so `sqlite+aiosqlite:///a` is the relative `a`, and four slashes make it absolute
/// (<https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#connect-strings>). Without a driver `/./a` and `/../a` are taken
/// as SQLAlchemy's too, since nobody writes those as absolute paths.
fn sqlite(driver: Option<&str>, rest: &str) -> Result<DatabaseTarget, String> {
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
            ("p4ss://u:p4ss@db", "has a scheme that is not understood: use sqlite, mysql or postgres"),
            ("mysql:p4ss", "is not of the form mysql://USER:PASSWORD@HOST:PORT/DATABASE"),
            ("mysql://u:p4ss@db", "names no database: mysql://USER:PASSWORD@HOST:PORT/DATABASE"),
            ("postgres://u:p4ss@db/", "names no database: postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
            (
                "postgres://u:p4/ss@db/x",
                "cannot be read: invalid port number (in a password, @ is %40, / is %2F, : is %3A, ? is %3F and # is %23)",
            ),
            ("mysql://u:p4ss@db/x?ssl-mod=required", "has a parameter that is not understood: ssl-mod"),
            (
                "postgres://u:p4ss@db/x?sslmode=p4ss",
                "has a sslmode that is not understood: use disable, allow, prefer, require, verify-ca or verify-full",
            ),
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
    fn every_form_of_a_servers_url_becomes_what_its_driver_takes() {
        let cases = [
            ("mysql://u:p%40ss@db:3307/x", "mysql://u:p%40ss@db:3307/x"),
            ("mysql+aiomysql://u:p@db/x?charset=utf8mb4", "mysql://u:p@db/x"),
            ("mysql+pymysql://u:p@db/x?ssl_ca=/ca.pem", "mysql://u:p@db/x?ssl-ca=%2Fca.pem"),
            ("MariaDB://u@db/x?sslMode=VERIFY_IDENTITY", "mysql://u@db/x?ssl-mode=verify_identity"),
            ("mysql://u@localhost/x?unix_socket=/run/m.sock", "mysql://u@localhost/x?socket=%2Frun%2Fm.sock"),
            ("postgres://u:p@db/x", "postgres://u:p@db/x"),
            (
                "postgresql+asyncpg://u:p@[::1]:5433/x?ssl=require",
                "postgres://u:p@[::1]:5433/x?sslmode=require",
            ),
            (
                "postgresql+psycopg://u:p@db/x?sslmode=verify-full&sslrootcert=/ca.pem",
                "postgres://u:p@db/x?sslmode=verify-full&sslrootcert=%2Fca.pem",
            ),
            ("postgres://u@/x?host=/run/postgresql", "postgres://u@localhost/x?host=%2Frun%2Fpostgresql"),
        ];
        for (url, wanted) in cases {
            let target = parse(url).unwrap();
            let (DatabaseTarget::MySql { url: read } | DatabaseTarget::Postgres { url: read }) = &target
            else {
                panic!("{target:?}");
            };
            assert_eq!(read.expose(), wanted, "{url}");
        }
    }

    #[test]
    fn a_servers_password_is_never_shown() {
        let target = parse("postgres://user:s3cret@db/x").unwrap();
        assert_eq!(format!("{target:?}"), "Postgres { url: postgres://****@db/x }");
    }

    #[test]
    fn the_type_must_be_the_urls() {
        let mut config = Config::default();
        config.database.kind = Some(DatabaseType::MySql);
        let refused = config.database_target().unwrap_err().to_string();
        assert_eq!(
            refused,
            "database.type (DATABASE_TYPE): is mysql, but no database.url says where that is"
        );
        config.database.url = Some("postgres://u:p4ss@db/x".into());
        let refused = config.database_target().unwrap_err().to_string();
        assert_eq!(refused, "database.type (DATABASE_TYPE): is mysql, but database.url is of postgres");
        config.database.url = Some("mariadb://u:p4ss@db/x".into());
        assert_eq!(config.database_target().unwrap().kind(), DatabaseType::MySql);
    }

    #[test]
    fn without_a_url_the_database_lies_in_the_data_directory() {
        let mut config = Config::default();
        config.data.dir = "/srv/llm".into();
        let path = PathBuf::from("/srv/llm/llm_orchestrator.db");
        assert_eq!(config.database_target(), Ok(DatabaseTarget::Sqlite { path }));
    }
}
