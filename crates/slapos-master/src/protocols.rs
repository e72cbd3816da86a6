//! What a Master serves beside SLAP itself, as configured.

use std::collections::BTreeMap;

use slapos_slap::SoftwareUrl;

pub use crate::shacache::ShacacheConfig;

/// See the module; the default is nothing.
#[derive(Debug, Clone, Default)]
pub struct Protocols {
    /// Names for Software Releases: `slapos request TITLE product.NAME`.
    pub products: BTreeMap<String, SoftwareUrl>,
    /// The network cache.
    pub shacache: Option<ShacacheConfig>,
}
