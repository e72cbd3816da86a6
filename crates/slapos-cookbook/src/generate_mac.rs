//! `slapos.cookbook:generate.mac`: a MAC address of an interface of one's own, drawn once.
//!
//! Options:
//! - `storage-path`: the file that keeps it, removed with the part;
//! - `mac-address`: set to the address, `fe:xx:xx:xx:xx:xx`; a profile that gives it decides.

use std::path::PathBuf;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common::{self, draw};

/// The recipe.
pub(crate) struct GenerateMac;

impl Recipe for GenerateMac {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("storage-path")?);
        let given = init.get("mac-address").map(str::to_owned).filter(|mac| !mac.is_empty());
        let stored = match &given {
            Some(_) => None,
            None => common::read_if_there(init, "storage-path", &path)?,
        };
        let mac = match given.or(stored).filter(|mac| !mac.is_empty()) {
            Some(mac) => mac,
            None => {
                let drawn = draw::bytes(init, 5)?;
                let octets = std::iter::once(0xfe).chain(drawn);
                octets.map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
            }
        };
        init.set("mac-address", &mac);
        Ok(Box::new(Stored { path, mac }))
    }
}

struct Stored {
    path: PathBuf,
    mac: String,
}

impl Part for Stored {
    fn claims(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let mode = common::rendered_mode(None, "");
        common::write_file(&self.path, self.mac.as_bytes(), mode)?;
        Ok(self.claims())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
