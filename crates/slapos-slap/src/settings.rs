//! What an operator says about a computer: what it may be used for. The body of
//! `PATCH /api/v1/computers/{id}`, and what is kept.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};

use crate::words::{AllocationScope, ComputerId, PartitionId};

/// What is said of a computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComputerSettings {
    /// The computer.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: ComputerId,
    /// The project that it belongs to; empty when it is the operator's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// A name for people; may be empty.
    pub title: String,
    /// Whether it takes new instances.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub allocation_scope: AllocationScope,
    /// What requests may ask for by `label_KEY=VALUE`.
    #[cfg_attr(feature = "openapi", schema(value_type = HashMap<String, String>))]
    pub labels: IndexMap<String, String>,
    /// The network that it is in (`network_guid`); empty when nobody said.
    pub network: String,
    /// The most instances that it may hold; one for each partition if there is no limit.
    pub capacity: Option<u32>,
    /// The instances that are left, of a computer that is to become empty (`drain`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remaining: Vec<Remaining>,
}

/// An instance on a computer that is to become empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Remaining {
    /// The partition that it is in.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub partition: PartitionId,
    /// Its title.
    pub title: String,
    /// The title of the root of its tree.
    pub root_title: String,
}

/// A change of settings: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetComputer {
    /// The project that it is to belong to; empty gives it to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// A name for people; may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether it takes new instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub allocation_scope: Option<AllocationScope>,
    /// All labels; they replace the former ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<HashMap<String, String>>))]
    pub labels: Option<IndexMap<String, String>>,
    /// The network that it is in (`network_guid`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The most instances that it may hold; `null` takes the limit away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub capacity: Option<Option<u32>>,
}

/// Tells `null` from what is not there.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_not_the_same_as_nothing() {
        let read = |text| serde_json::from_str::<SetComputer>(text).unwrap().capacity;
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"capacity": null}"#), Some(None));
        assert_eq!(read(r#"{"capacity": 3}"#), Some(Some(3)));
        assert!(serde_json::from_str::<SetComputer>(r#"{"capacity": -1}"#).is_err());
        assert!(serde_json::from_str::<SetComputer>(r#"{"colour": "red"}"#).is_err());
    }
}
