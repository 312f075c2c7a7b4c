//! Listeners that share one port.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`, 4096 since Linux 5.4.
const BACKLOG: i32 = 4096;

/// A non-blocking listener on `addr` beside which others on the same port are allowed (SO_REUSEPORT).
///
/// Errors name the address.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let open = || {
        let socket = bound(addr, true)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    open().map_err(|error| named(addr, error))
}

/// `count` listeners (at least one) on the same address. If it names port 0, the first decides the port for all.
///
/// A port that another process listens on is an error, although SO_REUSEPORT would allow it: a gateway that is started twice
/// by mistake must not share its callers with the first one.
pub fn listen_all(addr: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Without SO_REUSEPORT this fails on a taken port. It is closed again before the first listener binds.
    bound(addr, false).map_err(|error| named(addr, error))?;
    let first = listen(addr)?;
    let shared = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(listen(shared)?);
    }
    Ok(listeners)
}

fn bound(addr: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old process's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn named(addr: SocketAddr, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    const ANY_PORT: &str = "127.0.0.1:0";

    #[test]
    fn all_listeners_share_the_port_that_the_first_was_given() {
        let listeners = listen_all(ANY_PORT.parse().unwrap(), 4).unwrap();
        let addr = listeners[0].local_addr().unwrap();
        assert_ne!(addr.port(), 0);
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == addr));
        assert_eq!(listeners.len(), 4);

        TcpStream::connect(addr).unwrap();
        // The kernel chooses which one; none of them blocks. It may take a moment to queue what the client sees as connected.
        let accepts = |listener: &TcpListener| listener.accept().is_ok();
        while !listeners.iter().any(accepts) {
            std::thread::yield_now();
        }
        assert!(!listeners.iter().any(accepts), "one connection goes to one listener");
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_it() {
        let first = listen_all(ANY_PORT.parse().unwrap(), 2).unwrap();
        let addr = first[0].local_addr().unwrap();
        let error = listen_all(addr, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    }
}
