//! The table of callers' key digests: a snapshot of its own.
use super::ApiKey;
use std::sync::Arc;
#[derive(Debug, Default)]
pub struct KeyTable;
impl KeyTable {
    pub fn find(&self, _digest: &[u8; 32]) -> Option<&Arc<ApiKey>> {
        None
    }
}
