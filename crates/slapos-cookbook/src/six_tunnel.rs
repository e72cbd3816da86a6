//! `slapos.cookbook:ipv6toipv4` and `ipv4toipv6`: a service that listens on an address of one
//! family and passes connections on to one of the other, with the program `6tunnel`.
//!
//! Options:
//! - `runner-path`: the executable to write, mode 0700;
//! - `ipv4`, `ipv4-port`, `ipv6`, `ipv6-port`: the two ends; what is named first in the recipe's
//!   name is where it listens;
//! - `6tunnel-path`: the program; `shell-path`: the shell that starts it.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, shell_quote};

/// The recipe.
pub(crate) struct SixTunnel {
    /// It listens on the IPv6 address.
    pub(crate) from_ipv6: bool,
}

impl Recipe for SixTunnel {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let word = |option: &str| init.require(option).map(|text| shell_quote(text.trim()));
        let ipv4 = [word("ipv4")?, word("ipv4-port")?];
        let ipv6 = [word("ipv6")?, word("ipv6-port")?];
        let (families, from, to) = match self.from_ipv6 {
            true => ("-6 -4 ", ipv6, ipv4),
            false => ("", ipv4, ipv6),
        };
        let script = format!(
            "#!{}\nexec {} {families}-d -l {} {}\n",
            init.require("shell-path")?.trim(),
            word("6tunnel-path")?,
            from.join(" "),
            to.join(" ")
        );
        let path = common::path(init, &init.require("runner-path")?);
        Ok(Box::new(common::Files(vec![(path, script, 0o700)])))
    }
}
