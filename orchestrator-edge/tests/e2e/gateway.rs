//! A gateway in this test's own runtime: an edge and a core on free ports, with a database of their own in a temporary folder.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use orchestrator_base::{
    config::{AppEnv, Config, Role},
    metrics::Description,
    runtime,
    stopping::Stages,
    task,
    tls::{self, Ends},
};
use orchestrator_edge::{
    App,
    core_client::{self, CoreChannel, embedded::EmbeddedCore},
    listener,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Client};

/// The way between edge and core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// The core is called in the edge's process.
    Embedded,
    /// The core is called over HTTP/2.
    Split,
}

/// Both of them: what every suite runs over.
pub(crate) const CHANNELS: [Channel; 2] = [Channel::Embedded, Channel::Split];

/// The keys of every gateway that a test starts.
pub(crate) const ADMIN_KEY: &str = "test-admin-key-0123456789";
pub(crate) const CLIENT_KEY: &str = "test-client-key-0123456789";
/// What every provider that a test makes is given as its key.
pub(crate) const PROVIDER_KEY: &str = "sk-provider-secret";

/// A running gateway. It ends with its test's runtime; its files go with it.
pub(crate) struct Gateway {
    /// Speaks to the edge with the client key.
    pub(crate) client: Client,
    /// Speaks to the edge with the admin key.
    pub(crate) admin: Client,
    /// `http://127.0.0.1:PORT` of the core's gRPC listener.
    pub(crate) grpc: String,
    /// Where the edge listens.
    pub(crate) rest: SocketAddr,
    /// Speaks to the core's listener for metrics and health, without a key.
    pub(crate) core_page: Client,
    /// The database's file.
    pub(crate) database: PathBuf,
    core: EmbeddedCore,
    stop: CancellationToken,
    data: tempfile::TempDir,
}

impl Gateway {
    /// With the defaults, but for addresses and keys.
    pub(crate) async fn start(channel: Channel) -> Self {
        Self::start_with(channel, |_| {}).await
    }

    /// With settings of its own.
    pub(crate) async fn start_with(channel: Channel, set: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(channel, tempfile::tempdir().unwrap(), set).await
    }

    /// With the files of an earlier gateway.
    pub(crate) async fn start_on(
        channel: Channel,
        data: tempfile::TempDir,
        set: impl FnOnce(&mut Config),
    ) -> Self {
        tls::install_crypto();
        let mut config = Config::default();
        config.app.env = AppEnv::Development;
        config.data.dir = data.path().to_owned();
        config.keys.admin = Some(ADMIN_KEY.into());
        config.keys.client = Some(CLIENT_KEY.into());
        // Most tests count what their providers are asked.
        config.health_check.enabled = false;
        set(&mut config);
        let ends = Ends::open(&config, Role::Edge).unwrap();
        let core = EmbeddedCore::start(&config).await.unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (rest, grpc) = (runtime::listen(any).unwrap(), runtime::listen(any).unwrap());
        let rest_address = rest.local_addr().unwrap();
        let base = format!("http://{rest_address}");
        let grpc_scheme = if config.tls.grpc_cert.is_some() { "https" } else { "http" };
        let grpc_base = format!("{grpc_scheme}://{}", grpc.local_addr().unwrap());
        let is_embedded = channel == Channel::Embedded;
        let thread = core.for_thread();
        let channel = match channel {
            Channel::Embedded => thread.channel(),
            Channel::Split => remote(&config, &grpc_base),
        };
        let stop = CancellationToken::new();
        let stages = Stages::after(stop.clone(), Duration::from_secs(5));
        core.serve_until(&stages).await;
        drop(task::spawn("grpc", thread.serve(ends.grpc(grpc), stages.clone())));
        let page = std::net::TcpListener::bind(any).unwrap();
        let core_page = Client::new(&page.local_addr().unwrap().to_string(), "").with_key(None);
        core.show_at(page).unwrap();
        let app = App::new(&config, channel, stages.without_curfew());
        let app = if is_embedded { app.showing(core.metrics()) } else { app };
        drop(task::spawn("rest", listener::serve(ends.rest(rest), app)));
        Self {
            client: Client::new(&base, CLIENT_KEY),
            admin: Client::new(&base, ADMIN_KEY),
            grpc: grpc_base,
            rest: rest_address,
            core_page,
            database: data.path().join("llm_orchestrator.db"),
            core,
            stop,
            data,
        }
    }

    /// Makes a provider of kind `openai` and gives its id. `more` overrides fields of the request.
    pub(crate) async fn add_provider(&self, name: &str, base_url: &str, more: Value) -> String {
        let mut body = json!({"name": name, "kind": "openai", "base_url": base_url, "api_key": PROVIDER_KEY});
        merge(&mut body, more);
        self.create("/admin/providers", &body).await
    }

    /// Makes a model and associates these providers with it, by id; the upstream model is `upstream`. Gives the model's id.
    pub(crate) async fn add_model(&self, name: &str, upstream: &str, providers: &[&str]) -> String {
        let model = self.create("/admin/models", &json!({"name": name})).await;
        for provider in providers {
            let body = json!({"model_id": model, "provider_id": provider, "provider_model": upstream});
            self.create("/admin/model-providers", &body).await;
        }
        model
    }

    /// Holds nothing against its providers any more: the next request meets them as the first one did.
    pub(crate) async fn forgive(&self) {
        assert_eq!(self.admin.post("/admin/breakers/reset", &json!({})).await.status, 204);
    }

    /// Sets what a model's tokens cost.
    pub(crate) async fn create_price(&self, price: &Value) {
        let answer = self.admin.post("/admin/prices", price).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// POSTs to Admin and gives the new resource's id.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> String {
        let answer = self.admin.post(path, body).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// The rows of `request_logs`, those of probes aside, oldest first, once there are at least `count`. Columns as the table has them.
    pub(crate) async fn logs(&self, count: usize) -> Vec<Value> {
        for _ in 0..500 {
            let query = "SELECT * FROM request_logs WHERE origin = 'caller' ORDER BY started_at, id";
            let rows = orchestrator_testkit::sqlite::rows(&self.database, query).await;
            if rows.len() >= count {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the ledger did not get {count} records");
    }

    /// The rows that a query finds now.
    pub(crate) async fn rows(&self, query: &str) -> Vec<Value> {
        orchestrator_testkit::sqlite::rows(&self.database, query).await
    }

    /// The row of the one record with that request id, once it is there.
    pub(crate) async fn record(&self, request_id: &str) -> Value {
        for _ in 0..500 {
            let mut rows = self.logs(0).await;
            rows.retain(|row| row["request_id"] == request_id);
            assert!(rows.len() < 2, "two records of {request_id}: {rows:?}");
            if let Some(row) = rows.pop() {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the ledger did not get a record of {request_id}");
    }

    /// Copies its files as they are now, for a gateway that finds what this one would leave if it were killed.
    pub(crate) fn copy_files(&self, to: &Path) {
        let from = self.database.parent().unwrap();
        // The database comes first: a journal may be ahead of it, as after a crash, and never behind it.
        for folder in ["", "journal/core"] {
            fs::create_dir_all(to.join(folder)).unwrap();
            for entry in fs::read_dir(from.join(folder)).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
    }

    /// The embedded core's own services, called without a socket.
    pub(crate) fn in_process(&self) -> CoreChannel {
        self.core.for_thread().channel()
    }

    /// The families that this process registered, the edge's too where it is one process.
    pub(crate) fn families(&self) -> Vec<&'static Description> {
        self.core.metrics().descriptions()
    }

    /// Begins to stop: nothing new is accepted.
    pub(crate) fn begin_drain(&self) {
        self.stop.cancel();
    }

    /// Stops accepting, lets what runs end, stores what is in the journal. Gives its files.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.core.finish(&CancellationToken::new()).await;
        self.data
    }
}

/// The way to a core over the network, as an edge in another process has it.
fn remote(config: &Config, endpoint: &str) -> CoreChannel {
    let mut config = config.clone();
    config.edge.core_endpoint = Some(endpoint.to_owned());
    let ends = Ends::open(&config, Role::Edge).unwrap();
    core_client::encrypted(endpoint, ends.core.as_ref()).unwrap()
}

/// Sets the fields of `more` in `body`.
fn merge(body: &mut Value, more: Value) {
    if let (Value::Object(body), Value::Object(more)) = (body, more) {
        body.extend(more);
    }
}

/// An answer that must be an error in OpenAI's envelope; gives `(param, code, message)`.
pub(crate) fn openai_error(answer: &Answer) -> (Option<String>, Option<String>, String) {
    let body = answer.json();
    let error = body["error"].as_object().unwrap_or_else(|| panic!("no envelope: {}", answer.text()));
    for field in ["message", "type", "param", "code"] {
        assert!(error.contains_key(field), "no `{field}`: {}", answer.text());
    }
    let text = |field: &str| error[field].as_str().map(str::to_owned);
    (text("param"), text("code"), text("message").unwrap())
}
