//! What the mains of both binaries do alike: read the configuration, say what is wrong with it, greet.

use std::{
    fmt::Write as _,
    io,
    io::Write as _,
    net::{TcpListener, ToSocketAddrs as _},
    path::Path,
    process::ExitCode,
};

use crate::config::{self, Config, Loaded, Role, Sources};

/// The configuration, or the exit code after every problem with it was printed.
pub fn load(sources: io::Result<Sources>, role: Role) -> Result<Loaded, ExitCode> {
    let sources = sources.map_err(|error| {
        complain(&format!("configuration: {error}"));
        ExitCode::from(2)
    })?;
    config::load(&sources, role).map_err(|problems| {
        let mut text = String::from("the configuration has problems:");
        for problem in problems {
            let _ = write!(text, "\n  {problem}");
        }
        complain(&text);
        ExitCode::from(2)
    })
}

/// `check-config`: the effective configuration, secrets masked.
pub fn check_config(loaded: &Loaded) -> ExitCode {
    print(config::show(loaded))
}

/// Writes to standard output: what somebody asked to see, or may pipe on.
pub fn print(text: impl AsRef<[u8]>) -> ExitCode {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_ref()).and_then(|()| out.flush());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes a line to standard error, for what happens before there is a log.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What every start of a gateway prints for a person: where things are, and a first command. Never a key.
pub fn greeting(config: &Config, data_dir: &Path) -> String {
    let data = data_dir.display();
    let base = format!("http://{}:{}", config.edge.host, config.edge.port);
    let client_key =
        if config.keys.client.is_some() { "$CLIENT_KEY".into() } else { format!("$(cat {data}/client.key)") };
    let admin_key =
        if config.keys.admin.is_some() { "ADMIN_KEY".into() } else { format!("{data}/admin.key") };
    format!(
        "\nTry it:\n  curl -N {base}/v1/chat/completions \\\n    -H \"authorization: Bearer {client_key}\" -H 'content-type: application/json' \\\n    \
         -d '{{\"model\":\"echo\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello from the gateway\"}}]}}'\n\n\
         Admin:     {base}/admin/ (REST), {}:{} (gRPC); the key is in {admin_key}\n\
         Data:      {data}\n\n",
        config.grpc.host, config.grpc.port,
    )
}

/// Listeners on one address, one a request thread.
pub fn listen(host: &str, port: u16, threads: usize) -> io::Result<Vec<TcpListener>> {
    let address = (host, port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other(format!("{host} resolves to no address")))?;
    crate::runtime::listen_all(address, threads)
}
