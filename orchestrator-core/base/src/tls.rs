//! The one place that chooses the cryptography under TLS.
//!
//! rustls wants one provider for the whole process. Every library here is built for *ring*; naming it once, at start, keeps a
//! dependency that brings another one along from making the choice ambiguous, which would be a panic at the first connection.

/// Chooses *ring* for the process. A second call changes nothing.
pub fn install_crypto() {
    // The error only says that a provider is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_may_be_made_twice() {
        install_crypto();
        install_crypto();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
