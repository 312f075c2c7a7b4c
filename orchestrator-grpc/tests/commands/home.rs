//! A working directory with an installation in it, and programs that run there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use orchestrator_proto::v1::{self, admin_client::AdminClient, orchestrate_client::OrchestrateClient};
use serde_json::Value;
use tonic::{Request, Status, metadata::AsciiMetadataValue, transport::Channel};

const STEP: Duration = Duration::from_millis(20);
const STEPS: usize = 1500;

/// A working directory; it goes with the test.
pub(crate) struct Home(tempfile::TempDir);

/// What a command that ended has said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("data/llm_orchestrator.db")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn key(&self, name: &str) -> String {
        fs::read_to_string(self.path("data").join(name)).unwrap().trim().to_owned()
    }

    /// Runs a command to its end, with an empty environment but for `environment`.
    pub(crate) async fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let mut command = program(self.0.path(), environment);
        command.args(arguments).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

fn program(home: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator-grpc"));
    command.current_dir(home).env_clear().envs(environment.iter().copied());
    command
}

/// A core that serves. Dropping it ends the process.
pub(crate) struct Core {
    child: Child,
    log: PathBuf,
}

/// A core that is being started.
pub(crate) struct Starting(Core);

impl Core {
    /// Starts it; wait for the result, or for its end where it must not come up.
    pub(crate) fn start(home: &Home, environment: &[(&str, &str)]) -> Starting {
        let number = fs::read_dir(home.0.path()).unwrap().count();
        let log = home.path(&format!("{number}.log"));
        let child = program(home.0.path(), environment)
            .envs([
                ("GRPC_PORT", "0"),
                ("METRICS_PORT", "0"),
                ("ORCHESTRATOR__RUNTIME__THREADS", "1"),
                ("HEALTH_CHECK_ENABLED", "false"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Starting(Self { child, log })
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for a line.
    pub(crate) async fn logs(&self, what: &str) {
        for _ in 0..STEPS {
            if self.log().contains(what) {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
        panic!("{what} is not logged: {}", self.log());
    }

    async fn channel(&self) -> Channel {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("Listening for gRPC")).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        let address = line["address"].as_str().unwrap();
        Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
    }

    /// Asks the model `echo`.
    pub(crate) async fn chat(&self, key: &str) -> Result<(), Status> {
        self.chat_with(key, "echo").await
    }

    pub(crate) async fn chat_with(&self, key: &str, model: &str) -> Result<(), Status> {
        let part = v1::Part { kind: Some(v1::part::Kind::Text("Hello".to_owned())), ..v1::Part::default() };
        let message =
            v1::Message { role: v1::Role::User.into(), parts: vec![part], ..v1::Message::default() };
        let request = v1::ChatRequest {
            model: model.to_owned(),
            messages: vec![message],
            ..v1::ChatRequest::default()
        };
        let mut client = OrchestrateClient::new(self.channel().await);
        client.chat(with_key(request, key)).await.map(|_| ())
    }

    /// Asks until it is answered.
    pub(crate) async fn eventually(&self, key: &str, model: &str) {
        for _ in 0..STEPS {
            if self.chat_with(key, model).await.is_ok() {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
        panic!("{model} is not served: {}", self.log());
    }

    pub(crate) async fn create_model(&self, key: &str, name: &str) -> Result<(), Status> {
        let model = v1::Model { name: name.to_owned(), ..v1::Model::default() };
        let request = v1::CreateModelRequest { model: Some(model) };
        AdminClient::new(self.channel().await).create_model(with_key(request, key)).await.map(|_| ())
    }

    /// Asks it to read again what is declared: what changed, or why not.
    pub(crate) async fn reload(&self, key: &str) -> Result<v1::ConfigReport, Status> {
        let mut client = AdminClient::new(self.channel().await);
        client.reload(with_key(v1::ReloadRequest {}, key)).await.map(tonic::Response::into_inner)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("/bin/sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Ends it as an operator does.
    pub(crate) async fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.exit_code().await, 0, "{}", self.log());
    }

    async fn exit_code(&mut self) -> i32 {
        for _ in 0..STEPS {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            tokio::time::sleep(STEP).await;
        }
        panic!("it did not end: {}", self.log());
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl IntoFuture for Starting {
    type Output = Core;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Core>>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            for _ in 0..STEPS {
                if self.0.log().contains("Application startup complete") {
                    return self.0;
                }
                let ended = self.0.child.try_wait().unwrap();
                assert!(ended.is_none(), "{ended:?}: {}", self.0.log());
                tokio::time::sleep(STEP).await;
            }
            panic!("it did not start: {}", self.0.log());
        })
    }
}

impl Starting {
    /// For a core that must not come up.
    pub(crate) async fn await_end(mut self) -> Said {
        let code = self.0.exit_code().await;
        Said { code, out: String::new(), err: self.0.log() }
    }
}

fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    let bearer: AsciiMetadataValue = format!("Bearer {key}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}
