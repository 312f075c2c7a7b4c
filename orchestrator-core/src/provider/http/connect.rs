//! Which addresses may be dialled: the check of `policy/address.rs`, on names as they resolve and on literals.

use std::{
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tokio::time::timeout;
use tower_service::Service;

use super::AskFailure;
use crate::policy::address::{self, Reach};

/// The system's resolver, less the addresses that no provider may have.
#[derive(Clone, Debug)]
pub(super) struct GuardedResolver {
    resolver: GaiResolver,
    deny_private: bool,
}

impl GuardedResolver {
    pub(super) fn new(deny_private: bool) -> Self {
        Self { resolver: GaiResolver::new(), deny_private }
    }
}

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.resolver.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.resolver.call(name);
        let deny_private = self.deny_private;
        Box::pin(async move {
            let addresses: Vec<SocketAddr> =
                resolving.await?.filter(|found| may_stand_at(found.ip(), deny_private)).collect();
            if addresses.is_empty() {
                return Err(io::Error::other("the name resolves to no address that a provider may have"));
            }
            Ok(addresses.into_iter())
        })
    }
}

/// A connector that keeps to its time for all that a connection takes: the name, TCP and TLS. What it wraps bounds TCP alone, and
/// a server that accepts and then says nothing would hold a request for as long as its whole answer may take.
///
/// The HTTP client clones its connector several times for each request, whether it connects or not: what is large is shared.
#[derive(Debug)]
pub(super) struct Punctual<C> {
    connector: Arc<C>,
    within: Duration,
}

impl<C> Clone for Punctual<C> {
    fn clone(&self) -> Self {
        Self { connector: Arc::clone(&self.connector), within: self.within }
    }
}

impl<C> Punctual<C> {
    pub(super) fn new(connector: C, within: Duration) -> Self {
        Self { connector: Arc::new(connector), within }
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl<C> Service<Uri> for Punctual<C>
where
    C: Service<Uri, Error = Fault> + Clone + Send + Sync + 'static,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let mut connector = C::clone(&self.connector);
        let within = self.within;
        Box::pin(async move {
            let connecting = async {
                poll_fn(|context| connector.poll_ready(context)).await?;
                connector.call(uri).await
            };
            match timeout(within, connecting).await {
                Ok(connected) => connected,
                Err(_) => {
                    Err(io::Error::new(io::ErrorKind::TimedOut, format!("none within {within:?}")).into())
                }
            }
        })
    }
}

/// A literal address as host never meets the resolver, so it is checked here.
pub(super) fn check_literal(uri: &Uri, deny_private: bool) -> Result<(), AskFailure> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(literal) if !may_stand_at(literal, deny_private) => {
            Err(AskFailure::Connect("no provider may have this address".into()))
        }
        _ => Ok(()),
    }
}

fn may_stand_at(address: IpAddr, deny_private: bool) -> bool {
    match address::reach(address) {
        Reach::Public => true,
        Reach::Private => !deny_private,
        Reach::Forbidden => false,
    }
}
