//! What the mains of both binaries do alike: read the configuration, say what is wrong with it, greet.

use std::{
    fmt::Write as _,
    io,
    io::Write as _,
    net::{SocketAddr, TcpListener, ToSocketAddrs as _},
    path::Path,
    process::ExitCode,
};

use crate::{
    clock::Clock,
    config::{self, AppEnv, Config, Loaded, Role, Sources},
    tls,
};

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

/// Keeps the allocator off huge pages, where there are any. mimalloc asks for them, and a gateway at rest then holds 30 MiB that it
/// does not use; CPU per request and per chunk is the same either way (`make bench COMPARE=MIMALLOC_ALLOW_THP=1,0` of a build
/// without this). Where it cannot be done, memory is all that it costs.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// `check-config`: the effective configuration, secrets masked, and until when its certificates are good.
pub fn check_config(loaded: &Loaded, role: Role) -> ExitCode {
    match tls::check(&loaded.config, role, &Clock::system()) {
        Ok(certificates) => {
            let mut text = config::show(loaded);
            for certificate in certificates {
                let _ = write!(text, "\n# {certificate}");
            }
            print(text + "\n")
        }
        Err(error) => {
            complain(&format!("the configuration has problems:\n  {error}"));
            ExitCode::from(2)
        }
    }
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

/// The program cannot log where it is told to: says so, and gives the exit code of a configuration that is to blame.
pub fn no_logs(why: &io::Error) -> ExitCode {
    complain(&format!("the logs cannot be written: {why}"));
    ExitCode::from(2)
}

/// What the start of an edge with a core prints for a person: a first command, and where things are. Never a key. Nothing in
/// production, which has no model `echo`, and whose output is for programs that read lines of JSON.
pub fn greeting(config: &Config, rest: SocketAddr, grpc: SocketAddr, data_dir: &Path) -> String {
    if config.app.env == AppEnv::Production {
        return String::new();
    }
    let key = client_key(config, data_dir);
    let scheme = if config.tls.edge_cert.is_some() { "https" } else { "http" };
    // With a port of its own Admin is there alone.
    let admin = match config.admin.port {
        Some(port) => format!("{}:{port}", config.admin.host),
        None => rest.to_string(),
    };
    format!(
        "\nTry it:\n  curl -N {scheme}://{rest}/v1/chat/completions \\\n    \
         -H \"authorization: Bearer {key}\" -H 'content-type: application/json' \\\n    \
         -d '{{\"model\":\"echo\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello from the gateway\"}}]}}'\n\n\
         REST:   {scheme}://{rest}\n\
         Admin:  {scheme}://{admin}/admin-ui/ in a browser, {scheme}://{admin}/admin for programs\n\
         {}",
        places(config, grpc, data_dir),
    )
}

/// What the start of a core alone prints for a person: nothing in production.
pub fn core_greeting(config: &Config, grpc: SocketAddr, data_dir: &Path) -> String {
    if config.app.env == AppEnv::Production {
        return String::new();
    }
    let key = client_key(config, data_dir);
    let plain = if config.tls.grpc_cert.is_some() { "" } else { "-plaintext " };
    format!(
        "\nTry it:\n  grpcurl {plain}-H \"authorization: Bearer {key}\" \\\n    \
         -d '{{\"model\":\"echo\",\"messages\":[{{\"role\":\"ROLE_USER\",\"parts\":[{{\"text\":\"Hello\"}}]}}]}}' \\\n    \
         {grpc} orchestrator.v1.Orchestrate/StreamChat\n\n{}",
        places(config, grpc, data_dir),
    )
}

fn places(config: &Config, grpc: SocketAddr, data_dir: &Path) -> String {
    let data = data_dir.display();
    let admin_key = match &config.keys.admin {
        Some(_) => "ADMIN_KEY".to_owned(),
        None => format!("{data}/admin.key"),
    };
    format!("gRPC:   {grpc}\nData:   {data}\nKeys:   the admin key is {admin_key}\n\n")
}

/// How a shell finds the first caller's key.
fn client_key(config: &Config, data_dir: &Path) -> String {
    let file = data_dir.join("client.key");
    if config.keys.client.is_some() {
        "$CLIENT_KEY".to_owned()
    } else if file.is_file() {
        format!("$(cat '{}')", file.display())
    } else {
        // A database that has keys already gets no file.
        "YOUR_API_KEY".to_owned()
    }
}

/// Listeners on one address, one a request thread.
pub fn listen(host: &str, port: u16, threads: usize) -> io::Result<Vec<TcpListener>> {
    let address = (host, port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other(format!("{host} resolves to no address")))?;
    crate::runtime::listen_all(address, threads)
}

/// A listener for operators alone, where there is a port for them. `what` they speak there goes into the log.
pub fn listen_for_admin(
    host: &str,
    port: Option<u16>,
    what: &'static str,
) -> io::Result<Option<TcpListener>> {
    let Some(port) = port else { return Ok(None) };
    let Some(listener) = listen(host, port, 1)?.pop() else { return Ok(None) };
    tracing::info!(address = %listener.local_addr()?, "Listening for Admin over {what}");
    Ok(Some(listener))
}

/// Serves a listener that there may be.
pub async fn serve_if<F: Future<Output = io::Result<()>>>(
    listener: Option<tls::Listener>,
    serve: impl FnOnce(tls::Listener) -> F,
) -> io::Result<()> {
    match listener {
        Some(listener) => serve(listener).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greet(config: &Config) -> String {
        let (rest, grpc) =
            (SocketAddr::from(([127, 0, 0, 1], 8000)), SocketAddr::from(([127, 0, 0, 1], 50051)));
        greeting(config, rest, grpc, Path::new("/nowhere"))
    }

    fn line<'a>(text: &'a str, name: &str) -> &'a str {
        text.lines().find(|line| line.starts_with(name)).unwrap_or_default()
    }

    #[test]
    fn the_greeting_says_where_admin_is() {
        let mut config = Config::default();
        assert_eq!(
            line(&greet(&config), "Admin:"),
            "Admin:  http://127.0.0.1:8000/admin-ui/ in a browser, http://127.0.0.1:8000/admin for programs"
        );
        config.admin.port = Some(8001);
        assert_eq!(
            line(&greet(&config), "Admin:"),
            "Admin:  http://127.0.0.1:8001/admin-ui/ in a browser, http://127.0.0.1:8001/admin for programs"
        );
    }

    #[test]
    fn production_is_not_greeted_with_a_model_that_it_does_not_have() {
        let mut config = Config::default();
        config.app.env = AppEnv::Production;
        assert_eq!(greet(&config), "");
        assert_eq!(
            core_greeting(&config, SocketAddr::from(([127, 0, 0, 1], 50051)), Path::new("/nowhere")),
            ""
        );
    }
}
