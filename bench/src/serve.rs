//! What the servers of a measurement have in common: they listen like the product (a runtime on each core, SO_REUSEPORT), say
//! where on standard output, and end when their standard input does, so that none outlives the driver that holds the other end.

use std::{
    future::Future,
    io::{self, Read as _},
    net::{Ipv4Addr, TcpListener},
};

use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use orchestrator_base::{
    process,
    runtime::{self, Workers},
    task,
};

/// What a server prints before its address.
pub(crate) const ANNOUNCEMENT: &str = "listening on ";

/// Whatever keeps a request from being answered.
pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Runs `serve` on a thread for each core, each with a listener of its own on one port, until standard input ends.
pub(crate) fn on_every_core<M, F>(serve: M) -> io::Result<()>
where
    M: Fn(TcpListener) -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<()>>,
{
    let listeners = runtime::listen_all((Ipv4Addr::LOCALHOST, 0).into(), runtime::threads(0))?;
    let address = listeners.first().ok_or_else(|| io::Error::other("there is no listener"))?.local_addr()?;
    let _workers = Workers::start_with(listeners, move |_, listener| serve(listener))?;
    process::print(format!("{ANNOUNCEMENT}{address}\n"));
    // Nobody writes: the end is what is waited for.
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Accepts HTTP/1.1 and answers with `answer`. A request that cannot be answered closes its connection: the load generator
/// counts it as an error, as it should.
pub(crate) async fn http1<A, F, B>(listener: TcpListener, answer: A) -> io::Result<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, AnyError>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<AnyError>,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        task::spawn("connection", async move {
            let service = service_fn(answer);
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
