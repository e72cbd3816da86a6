//! The originals, for comparisons: zc.buildout and recipe eggs, installed once below the target
//! directory.

use std::path::{Path, PathBuf};

/// The originals.
const PEERS: [&str; 11] = [
    "setuptools==67.8.0",
    "zc.buildout==3.0.1",
    "zc.recipe.egg==2.0.7",
    "slapos.core==1.26.1",
    "slapos.cookbook==1.0.514",
    "slapos.libnetworkcache==0.30",
    "slapos.recipe.build==0.66",
    "slapos.recipe.template==5.1",
    "collective.recipe.template==2.2",
    // The last of its kind: slapos.cookbook is written for it.
    "jsonschema==4.17.3",
    // Later ones have a name of their files that this setuptools does not find.
    "zope.interface==7.2",
];

/// The original's `buildout`, installed if it is not there yet.
pub(crate) fn original() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cookbook-peer");
    Ok(slapos_testkit::python_with(&place, &PEERS)?.join("buildout"))
}
