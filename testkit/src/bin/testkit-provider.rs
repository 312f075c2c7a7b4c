//! `testkit-provider [--secret TEXT]…`: plays all [`scenes`] on a free port of `127.0.0.1`.
//!
//! Its first line on standard output is the address. It ends when its standard input does, so that it never outlives whoever
//! started it. `TEXT`, the callers' key for instance, may stand in no request.

use std::io::{self, Read as _, Write as _};

use orchestrator_testkit::{provider::Provider, scenes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut secrets = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--secret", Some(secret)) => secrets.push(secret),
            _ => return Err(io::Error::other("usage: testkit-provider [--secret TEXT]…")),
        }
    }
    let provider = Provider::start().await;
    scenes::play(&provider, &secrets);
    writeln!(io::stdout(), "{}", provider.address())?;
    tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
