//! The options of `slapos.cfg` that `node software`, `instance`, `report` and `promise` read; `node
//! format` makes what some of them name, and so these may also stand in `[slapformat]`.
//!
//! They are the original's; ours among them are `instance_jobs` and `master_timeout`. Three have another default here:
//! `root_check` (false: a node without root works, too), the pidfiles (below the instance root) and
//! `partition_timeout` (an hour). What the original reads and this program cannot do is
//! [told of](super::NodeConfig::without_effect).

use std::path::PathBuf;
use std::time::Duration;

use slapos_config::{Config, ConfigError};
use slapos_slap::DEFAULT_TIMEOUT;

use super::Reader;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct GridConfig {
    /// `key_file` and `cert_file` (here and in the next two, also in `[slapformat]`): who the node is to a Master by https.
    pub identity: Option<IdentityFiles>,
    /// `master_ca_file`: the Master's certificate must be signed by one of these authorities; those
    /// that the machine trusts unless set.
    pub master_ca_file: Option<PathBuf>,
    /// `certificate_repository_path`: where certificates of partitions are kept; none are fetched
    /// unless set.
    pub certificate_repository_path: Option<PathBuf>,
    /// `master_timeout`: how long the Master may take for one answer.
    pub master_timeout: Duration,
    /// `root_check`: whether these commands need root.
    pub root_check: bool,
    /// `forbid_supervisord_automatic_launch`: whether the supervisor must be started by others.
    pub forbid_supervisord_automatic_launch: bool,
    /// `maximal_delay`: these commands begin after a random time up to this.
    pub maximal_delay: Duration,
    /// `develop`: also what is up to date is processed.
    pub develop: bool,
    /// `only_sr`: only these Software Releases.
    pub only_software: Vec<String>,
    /// `only_cp`: only these partitions.
    pub only_partitions: Vec<String>,
    /// `force_stop`: instances are deployed and kept stopped.
    pub force_stop: bool,
    /// `buildout_debug`: logs say everything.
    pub buildout_debug: bool,
    /// `instance_storage_home`: storage outside of partitions, which the instances are told of; in
    /// each of its directories `data<number>` every partition gets one. Also in `[slapformat]`.
    pub instance_storage_home: Option<PathBuf>,
    /// `ipv4_global_network`: which the instances are told of.
    pub ipv4_global_network: String,
    /// `build_time_part_list`: told to the profiles of Software Releases and instances.
    pub build_time_part_list: Vec<PathBuf>,
    /// `instance_jobs`: how many partitions are processed at once; 0: one for each processor.
    pub instance_jobs: usize,
}

/// The files of a certificate, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// `key_file`.
    pub key: PathBuf,
    /// `cert_file`.
    pub certificate: PathBuf,
}

impl GridConfig {
    pub(super) fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let r = Reader::of(config, "slapos");
        let format = Reader::of_format(config);
        let words = |option: &str, other: &str| words(&r, r.spelling(option, other));
        Ok(Self {
            identity: identity(&format)?,
            master_ca_file: format.optional_path("master_ca_file")?,
            certificate_repository_path: format.optional_path("certificate_repository_path")?,
            master_timeout: r.seconds("master_timeout", DEFAULT_TIMEOUT.as_secs())?,
            root_check: r.boolean("root_check", false)?,
            forbid_supervisord_automatic_launch: r
                .boolean("forbid_supervisord_automatic_launch", false)?,
            maximal_delay: r.seconds("maximal_delay", 0)?,
            develop: r.boolean("develop", false)?,
            only_software: words("only_sr", "only-sr"),
            only_partitions: words("only_cp", "only-cp"),
            force_stop: r.boolean(r.spelling("force_stop", "force-stop"), false)?,
            buildout_debug: r.boolean(r.spelling("buildout_debug", "buildout-debug"), false)?,
            instance_storage_home: format.optional_path("instance_storage_home")?,
            ipv4_global_network: r.optional("ipv4_global_network").unwrap_or_default().to_owned(),
            build_time_part_list: r.path_list("build_time_part_list")?,
            instance_jobs: r.parsed("instance_jobs", 0)?,
        })
    }

    /// The files that say who we are to the Master, and it to us.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &PathBuf> {
        let own = self.identity.iter().flat_map(|files| [&files.key, &files.certificate]);
        own.chain(&self.master_ca_file)
    }
}

/// `key_file` and `cert_file` of a section that has both, or none.
pub(crate) fn identity(r: &Reader<'_>) -> Result<Option<IdentityFiles>, ConfigError> {
    match (r.optional_path("key_file")?, r.optional_path("cert_file")?) {
        (Some(key), Some(certificate)) => Ok(Some(IdentityFiles { key, certificate })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(r.error("key_file", "`key_file` needs `cert_file`".to_owned())),
        (None, Some(_)) => Err(r.error("cert_file", "`cert_file` needs `key_file`".to_owned())),
    }
}

fn words(r: &Reader<'_>, option: &str) -> Vec<String> {
    let text = r.optional(option).unwrap_or_default();
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What the file asks for and is not done: better said than found out.
pub(super) fn without_effect(config: &Config) -> Vec<String> {
    const SOURCES: &str = "only binary Software Releases are uploaded";
    const OPTIONS: [(&str, &str, &str); 5] = [
        ("networkcache", "upload-cache-url", SOURCES),
        ("networkcache", "upload-dir-url", SOURCES),
        ("slapos", "buildout", "there is no Buildout to bootstrap with"),
        ("slapos", "supervisord_socket", "it is `sv.sock` below the instance root"),
        (
            "slapos",
            "supervisord_configuration_path",
            "the supervisor's files are below the instance root",
        ),
    ];
    let set = |section: &str, option: &str| {
        config.get(section, option).is_some_and(|value| !value.trim().is_empty())
    };
    let unused = OPTIONS.iter().filter(|(section, option, _)| {
        set(section, option) || set(section, &option.replace('_', "-"))
    });
    unused
        .map(|(section, option, why)| format!("[{section}] {option} has no effect: {why}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GridConfig, ConfigError> {
        GridConfig::from_config(&Config::parse(text, "slapos.cfg")?)
    }

    #[test]
    fn both_spellings_are_read() {
        let text = "[slapos]\nonly-sr = a,b c\nonly_cp = slappart1\nforce-stop = True\n\
            buildout_debug = true\nkey_file = /k\ncert_file = /c\n";
        let grid = read(text).unwrap();
        assert_eq!(grid.only_software, ["a", "b", "c"]);
        assert_eq!(grid.only_partitions, ["slappart1"]);
        assert!(grid.force_stop && grid.buildout_debug && !grid.develop);
        let files = IdentityFiles { key: "/k".into(), certificate: "/c".into() };
        assert_eq!(grid.identity, Some(files));
    }

    #[test]
    fn what_format_makes_is_known_to_instances_wherever_it_is_said() {
        let text = "[slapformat]\ninstance_storage_home = /a\ncertificate_repository_path = /b\n\
            master_ca_file = /c\n[slapos]\nmaster_ca_file = /d\n";
        let grid = read(text).unwrap();
        assert_eq!(grid.instance_storage_home.as_deref(), Some("/a".as_ref()));
        assert_eq!(grid.certificate_repository_path.as_deref(), Some("/b".as_ref()));
        assert_eq!(grid.credentials().collect::<Vec<_>>(), ["/d"]);
        let error = read("[slapformat]\ninstance_storage_home = a\n").unwrap_err().to_string();
        insta::assert_snapshot!(error, @"slapos.cfg:2: `instance_storage_home` must be an absolute path, not `a`");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("[slapos]\nkey_file = /k\n"), @"slapos.cfg:2: `key_file` needs `cert_file`");
        insta::assert_snapshot!(error("[slapos]\nforce_stop = maybe\n"), @"slapos.cfg:2: `force_stop` must be true or false, not `maybe`");
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let text = "[slapos]\nbuildout = /b\nsupervisord-socket = /s\n[networkcache]\nupload-dir-url = http://x\n\
            upload-cache-url =\n";
        let config = Config::parse(text, "slapos.cfg").unwrap();
        insta::assert_snapshot!(without_effect(&config).join("\n"), @r"
        [networkcache] upload-dir-url has no effect: only binary Software Releases are uploaded
        [slapos] buildout has no effect: there is no Buildout to bootstrap with
        [slapos] supervisord_socket has no effect: it is `sv.sock` below the instance root
        ");
    }
}
