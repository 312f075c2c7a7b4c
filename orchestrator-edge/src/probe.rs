//! `orchestrator-edge health`: asks the running edge whether it is ready. For containers, which need no curl for it.

use std::{io, time::Duration};

use orchestrator_base::{
    config::Config,
    tls::{self, Wire},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

/// How long the edge may take.
const WITHIN: Duration = Duration::from_secs(2);

/// Asks `GET /health/ready` of the edge at this address, as the edge's own certificate allows. Blocks.
///
/// Errors: it does not answer, or answers something else than 200; the text says which.
pub fn ask_ready(config: &Config) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async { timeout(WITHIN, ask(config)).await })??;
    let status = status.trim_end();
    if status.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(io::Error::other(status.to_owned())) }
}

/// The answer's first line.
async fn ask(config: &Config) -> io::Result<String> {
    let edge = &config.edge;
    // A listener on all addresses is asked on this machine's own.
    let host = if edge.host == "0.0.0.0" { "127.0.0.1" } else { &edge.host };
    let stream = TcpStream::connect((host, edge.port)).await?;
    let mut stream = match tls::of_own_rest(config).map_err(io::Error::other)? {
        Some(tls) => tls.connect(host, stream).await?,
        None => Wire::Plain(stream),
    };
    let request = format!("GET /health/ready HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).await?;
    if status.is_empty() { Err(io::Error::other("no answer")) } else { Ok(status) }
}
