//! The Software Release that both run: a directory, a rendered file, a service, a publication.

use std::path::{Path, PathBuf};

const SOFTWARE: &str = "[buildout]
parts = instance-template
newest = false
offline = true

[instance-template]
recipe = slapos.recipe.template
url = @HERE@/instance.cfg.in
output = ${buildout:directory}/instance.cfg
";

const INSTANCE: &str = "[buildout]
parts = directory config-file service publish-connection-parameter
eggs-directory = ${buildout:eggs-directory}
develop-eggs-directory = ${buildout:develop-eggs-directory}
offline = true

[slapconfiguration]
recipe = slapos.cookbook:slapconfiguration
computer = $${slap-connection:computer-id}
partition = $${slap-connection:partition-id}
url = $${slap-connection:server-url}
key = $${slap-connection:key-file}
cert = $${slap-connection:cert-file}

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
    std::fs::write(&software, SOFTWARE.replace("@HERE@", &here)).expect("it can be written");
    std::fs::write(directory.join("instance.cfg.in"), INSTANCE).expect("it can be written");
    software
}
