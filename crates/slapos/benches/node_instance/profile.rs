//! The Software Release that both run: a directory, a rendered file, a service, a publication.

use std::path::{Path, PathBuf};

use slapos_testkit::{SOFTWARE_FOR_BOTH, instance_for_both};

const INSTANCE: &str = "
[directory]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
service = $${:etc}/service
log = $${buildout:directory}/var/log

[config-file]
recipe = slapos.recipe.template:jinja2
output = $${directory:etc}/demo.conf
inline =
  computer={{ slapconf['computer'] }}
  ipv4={{ slapconf['ipv4-random'] }}
  foo={{ foo }}
context =
  section slapconf slapconfiguration
  key foo slapconfiguration:configuration.foo

[service]
recipe = slapos.cookbook:wrapper
command-line = /bin/sleep 86400
wrapper-path = $${directory:service}/demo

[publish-connection-parameter]
recipe = slapos.cookbook:publish
url = http://$${slapconfiguration:ipv4-random}:8080/
config = $${config-file:output}
";

/// Writes the profiles into `directory` and returns the path of `software.cfg`.
pub(crate) fn write(directory: &Path) -> PathBuf {
    std::fs::create_dir_all(directory).expect("the benchmark's directory can be made");
    let software = directory.join("software.cfg");
    let here = directory.display().to_string();
    let instance =
        instance_for_both("directory config-file service publish-connection-parameter", INSTANCE);
    std::fs::write(&software, SOFTWARE_FOR_BOTH.replace("@HERE@", &here))
        .expect("it can be written");
    std::fs::write(directory.join("instance.cfg.in"), instance).expect("it can be written");
    software
}
