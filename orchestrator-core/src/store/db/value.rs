//! What goes into a placeholder.

use orchestrator_base::clock::UnixMicros;
use serde::Serialize;

use crate::store::StoreError;

/// A value for a placeholder. NULL has a type, because some databases ask for it.
#[derive(Clone, Debug)]
pub(in crate::store) enum Value {
    /// TEXT.
    Text(Option<String>),
    /// BIGINT.
    Int(Option<i64>),
}

impl Value {
    /// A list, a map or a struct as JSON text.
    pub(in crate::store) fn json<T: Serialize>(value: &T) -> Result<Self, StoreError> {
        serde_json::to_string(value)
            .map(|text| Self::Text(Some(text)))
            .map_err(|error| StoreError::Conflict(format!("a value cannot be written as JSON: {error}")))
    }

    /// A count. What a BIGINT cannot hold becomes the largest that it can.
    pub(in crate::store) fn count(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Self::Int(Some(i64::from(int)))
    }
}

impl From<Option<u32>> for Value {
    fn from(int: Option<u32>) -> Self {
        Self::Int(int.map(i64::from))
    }
}

impl From<Option<i64>> for Value {
    fn from(int: Option<i64>) -> Self {
        Self::Int(int)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(bit: bool) -> Self {
        Self::Int(Some(i64::from(bit)))
    }
}

impl From<UnixMicros> for Value {
    fn from(moment: UnixMicros) -> Self {
        Self::Int(Some(moment.0))
    }
}

impl From<Option<UnixMicros>> for Value {
    fn from(moment: Option<UnixMicros>) -> Self {
        Self::Int(moment.map(|moment| moment.0))
    }
}
