//! The Python host as recipes use it: how it is started, what it imports, and the recipes that are
//! written in Python.

mod farewell;
mod foreign;
mod outside;
mod packages;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slapos_eggs::Eggs;
use slapos_python::{Host, HostConfig};
use slapos_sources::{Fetcher, NETWORK_VARIABLES};

use crate::common::environment;

pub(crate) use foreign::Foreign;
pub(crate) use outside::ForPart;
pub(crate) use packages::Packages;

/// All that recipes in Python need; clones are the same.
#[derive(Clone)]
pub(crate) struct Python(Arc<Inner>);

struct Inner {
    host: Host,
    eggs: Arc<Eggs>,
    fetcher: Arc<Fetcher>,
}

impl Python {
    /// With the interpreter at `python`, or the machine's. Nothing is started yet.
    pub(crate) fn new(python: Option<PathBuf>, fetcher: Arc<Fetcher>) -> Self {
        let host = Host::new(HostConfig { python, environment: host_environment });
        Self(Arc::new(Inner { host, eggs: Arc::new(Eggs::new(fetcher.clone())), fetcher }))
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    pub(crate) fn fetcher(&self) -> &Arc<Fetcher> {
        &self.0.fetcher
    }

    pub(crate) fn eggs(&self) -> &Arc<Eggs> {
        &self.0.eggs
    }
}

/// The environment that recipes in Python find: that of all commands, and the way to the network.
fn host_environment(directory: &Path) -> BTreeMap<String, String> {
    let mut variables = environment::base(directory, Path::new("/tmp"));
    variables.remove("TMPDIR");
    // Python takes text for what the locale says; profiles and recipes are written in UTF-8.
    variables.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
    for name in NETWORK_VARIABLES {
        if let Ok(value) = std::env::var(name) {
            variables.insert(name.to_owned(), value);
        }
    }
    variables
}
