//! The databases that a gateway can be put on: what they hold, and how they are taken away.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::ValueEnum;
use orchestrator_testkit::{
    databases::{Kind, Server},
    sqlite::{self, Lock},
};
use serde_json::Value;

use crate::{
    AnyError,
    books::{self, Books, Query},
    caller::Ended,
    report::Ask,
};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// The gateway's own file.
    Sqlite,
    /// A MariaDB server of one's own.
    Mariadb,
    /// A PostgreSQL server of one's own.
    Postgres,
}

/// A gateway's database, seen from outside.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A server that ends with this process.
    Server(Arc<Server>, Kind, String),
}

/// A database that is away. Servers come back only by [`Database::give_back`].
#[derive(Debug)]
pub(crate) enum Away {
    /// Another connection holds the file locked.
    Locked(Lock),
    /// The server was stopped.
    Stopped,
}

impl Database {
    /// Starts a server and makes an empty database there.
    pub(crate) async fn on_server(kind: Kind) -> Result<Self, AnyError> {
        let server = Arc::new(tokio::task::spawn_blocking(move || Server::start(kind)).await?);
        let url = server.database().await;
        Ok(Self::Server(server, kind, url))
    }

    /// Takes it away from the gateway.
    pub(crate) async fn take_away(&self) -> Result<Away, AnyError> {
        match self {
            Self::Sqlite(path) => Ok(Away::Locked(Lock::take(path).await)),
            Self::Server(server, ..) => {
                let server = Arc::clone(server);
                tokio::task::spawn_blocking(move || server.stop()).await?;
                Ok(Away::Stopped)
            }
        }
    }

    /// Gives it back, as it was.
    pub(crate) async fn give_back(&self, away: Away) -> Result<(), AnyError> {
        match (self, away) {
            (_, Away::Locked(lock)) => lock.release().await,
            (Self::Server(server, ..), Away::Stopped) => {
                let server = Arc::clone(server);
                tokio::task::spawn_blocking(move || server.resume()).await?;
            }
            (Self::Sqlite(_), Away::Stopped) => {}
        }
        Ok(())
    }

    /// What a query finds.
    pub(crate) async fn rows(&self, query: Query) -> Result<Vec<Value>, AnyError> {
        match self {
            Self::Sqlite(path) => Ok(sqlite::rows(path, &plain(query)).await),
            Self::Server(server, kind, url) => {
                let texts = server.texts(url, &as_json(query, *kind)).await;
                texts.iter().map(|text| Ok(serde_json::from_str(text)?)).collect()
            }
        }
    }

    /// The account beside what callers got and what providers were asked.
    pub(crate) async fn books(&self, ended: Vec<Ended>, asks: Vec<Ask>) -> Result<Books, AnyError> {
        let mut sums = BTreeMap::new();
        for (name, query) in books::SUMS {
            sums.insert(name, self.rows(query).await?.remove(0));
        }
        let integrity = match self {
            Self::Sqlite(path) => {
                let said = sqlite::rows(path, "PRAGMA integrity_check").await;
                Some(said[0]["integrity_check"].as_str().unwrap_or_default().to_owned())
            }
            Self::Server(..) => None,
        };
        Ok(Books { ended, asks, rows: self.rows(books::ROWS).await?, sums, integrity })
    }
}

fn plain(query: Query) -> String {
    let columns: Vec<String> =
        query.columns.iter().map(|(name, expression)| format!("{expression} AS {name}")).collect();
    format!("SELECT {} FROM {}", columns.join(", "), query.from)
}

/// Each row as one text. Sums are DECIMAL and NUMERIC there, and plain numbers in JSON.
fn as_json(query: Query, kind: Kind) -> String {
    let function = match kind {
        Kind::MariaDb => "JSON_OBJECT",
        Kind::Postgres => "json_build_object",
    };
    let pairs: Vec<String> =
        query.columns.iter().map(|(name, expression)| format!("'{name}', {expression}")).collect();
    let object = format!("{function}({})", pairs.join(", "));
    let text = match kind {
        Kind::MariaDb => object,
        Kind::Postgres => format!("CAST({object} AS TEXT)"),
    };
    format!("SELECT {text} FROM {}", query.from)
}
