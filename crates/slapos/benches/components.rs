//! Eight components compiled: in parallel, one after the other, and by zc.buildout with the original
//! `slapos.recipe.cmmi` on the same sources.
//!
//! `cargo bench -p slapos --bench components [-- JOBS]`. The sources come from Debian's source
//! archive by hash, before anything is measured; the original comes from PyPI. Both use the same
//! compiler and the same options. Ratios are of wall-clock time, and of CPU for what the tools
//! themselves take, all in one session.

#![allow(clippy::disallowed_methods, reason = "a benchmark runs programs directly")]

mod cost;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cost::{Cost, cost};

/// Name, place in Debian's archive, MD5, options of `configure`.
const COMPONENTS: [(&str, &str, &str, &str); 8] = [
    (
        "pcre2",
        "debian:pcre2=10.42-1/pcre2_10.42.orig.tar.gz",
        "37d2f77cfd411a3ddf1c64e1d72e43f7",
        "--disable-static",
    ),
    (
        "findutils",
        "debian:findutils=4.10.0-3/findutils_4.10.0.orig.tar.xz",
        "870cfd71c07d37ebe56f9f4aaf4ad872",
        "",
    ),
    (
        "diffutils",
        "debian:diffutils=1:3.8-4/diffutils_3.8.orig.tar.xz",
        "6a6b0fdc72acfe3f2829aab477876fbc",
        "",
    ),
    ("patch", "debian:patch=2.8-2/patch_2.8.orig.tar.xz", "149327a021d41c8f88d034eab41c039f", ""),
    (
        "libtasn1",
        "debian:libtasn1-6=4.20.0-2+deb13u1/libtasn1-6_4.20.0.orig.tar.gz",
        "930f71d788cf37505a0327c1b84741be",
        "--disable-doc",
    ),
    (
        "lzo",
        "debian:lzo2=2.10-2/lzo2_2.10.orig.tar.gz",
        "39d3f3f9c55c87b1e5d6888e1420f4b5",
        "--enable-shared",
    ),
    (
        "dash",
        "debian:dash=0.5.12-2/dash_0.5.12.orig.tar.gz",
        "57222b768b84003ea4b801e5d5e0e52b",
        "",
    ),
    (
        "potrace",
        "debian:potrace=1.16-2/potrace_1.16.orig.tar.gz",
        "5f0bd87ddd9a620b0c4e65652ef93d69",
        "",
    ),
];

/// The original.
const PEERS: [&str; 5] = [
    "setuptools==67.8.0",
    "zc.buildout==3.0.1",
    "slapos.recipe.cmmi==0.23",
    "slapos.recipe.build==0.66",
    "zope.interface==7.2",
];

fn main() {
    let jobs = std::env::args().skip(1).find_map(|arg| arg.parse::<usize>().ok());
    let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, Into::into));
    let room = tempfile::Builder::new().prefix("slapos-components-").tempdir();
    let room = room.expect("a temporary directory can be made");
    let sources = room.path().join("sources");
    fetch(&sources);
    println!("eight components            wall       cpu   wall ratio to -j{jobs}");
    let parallel = ours(&room.path().join("parallel"), &sources, jobs);
    row(&format!("slapos buildout -j{jobs}"), parallel, parallel);
    let serial = ours(&room.path().join("serial"), &sources, 1);
    row("slapos buildout -j1", serial, parallel);
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components-peer");
    match slapos_testkit::python_with(&place, &PEERS) {
        Ok(bin) => row("zc.buildout", theirs(&bin, &room.path().join("peer"), &sources), parallel),
        Err(why) => println!("zc.buildout is not there: {why}"),
    }
}

fn row(name: &str, cost: Cost, base: Cost) {
    println!("{name:22}  {:7.1} s  {:6.1} s  {:6.2}", cost.wall, cost.cpu, cost.wall / base.wall);
}

/// Brings all sources.
fn fetch(directory: &Path) {
    let mut profile = String::from("[buildout]\nparts =");
    COMPONENTS.iter().for_each(|(name, ..)| profile.push_str(&format!(" {name}")));
    for (name, url, md5, _) in COMPONENTS {
        let _ = write!(
            profile,
            "\n[{name}]\nrecipe = slapos.recipe.build:download\nurl = {url}\nmd5sum = {md5}\n"
        );
    }
    cost(&mut slapos(&arrange(directory, &profile), &["-j", "4"]));
}

/// The profile that both work on.
fn profile(sources: &Path) -> String {
    let mut profile = String::from("[buildout]\nparts =");
    COMPONENTS.iter().for_each(|(name, ..)| profile.push_str(&format!(" {name}")));
    for (name, _, md5, options) in COMPONENTS {
        let file = sources.join("parts").join(name).join(name);
        let _ = write!(
            profile,
            "\n[{name}]\nrecipe = slapos.recipe.cmmi\nurl = {}\nmd5sum = {md5}\n\
             configure-options = {options}\n",
            file.display()
        );
    }
    profile
}

fn arrange(directory: &Path, profile: &str) -> PathBuf {
    fs::create_dir_all(directory).expect("a directory can be made");
    fs::write(directory.join("buildout.cfg"), profile).expect("a profile can be written");
    directory.to_owned()
}

fn slapos(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slapos"));
    command.arg("buildout").args(arguments).current_dir(directory);
    command
}

fn ours(directory: &Path, sources: &Path, jobs: usize) -> Cost {
    let directory = arrange(directory, &profile(sources));
    cost(&mut slapos(&directory, &["-U", "-j", &jobs.to_string()]))
}

fn theirs(bin: &Path, directory: &Path, sources: &Path) -> Cost {
    let directory = arrange(directory, &profile(sources));
    let mut command = Command::new(bin.join("buildout"));
    cost(command.args(["-U", "-o"]).current_dir(directory))
}
