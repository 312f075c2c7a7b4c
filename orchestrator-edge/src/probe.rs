//! `orchestrator-edge health`: asks the running edge whether it is ready. For containers, which need no curl for it.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use orchestrator_base::config;

/// How long the edge may take.
const WITHIN: Duration = Duration::from_secs(2);

/// Asks `GET /health/ready` of the edge at this address.
///
/// Errors: it does not answer, or answers something else than 200; the text says which.
pub fn ask_ready(edge: &config::Edge) -> io::Result<()> {
    // A listener on all addresses is asked on this machine's own.
    let host = if edge.host == "0.0.0.0" { "127.0.0.1" } else { &edge.host };
    let address = (host, edge.port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other(format!("{host} resolves to no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    write!(stream, "GET /health/ready HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    let status = answer.lines().next().unwrap_or("no answer");
    if status.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(io::Error::other(status.to_owned())) }
}
