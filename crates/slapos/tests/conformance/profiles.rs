//! The Software Releases of the cases: nothing to compile, and recipes that both sides have.

use std::path::Path;

/// All of them.
pub(crate) const NAMES: [&str; 3] = ["demo", "plain", "broken"];
/// Those that cases about instances find built.
pub(crate) const BUILT: [&str; 2] = ["demo", "plain"];

const SOFTWARE: &str = "[buildout]
parts = instance-template
newest = false
offline = true

[instance-template]
recipe = slapos.recipe.template
url = @HERE@/instance.cfg.in
output = ${buildout:directory}/instance.cfg
";

/// A part that fails, saying something before.
const BROKEN: &str = "[buildout]
parts = boom
newest = false
offline = true

[boom]
recipe = plone.recipe.command
command = echo the last words of a build; exit 3
stop-on-error = true
";

/// Its parameters: `word` is written down and published; `hold` names a file for as long as which
/// processing lasts; processing fails if `fail` is given; the promise holds while the file
/// `promise` is there, or if none is named.
const DEMO: &str = r#"[buildout]
parts = hold config-file service once promise publish
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
configuration.word = hello
configuration.hold =
configuration.fail =
configuration.promise =

[directory]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
run = $${:etc}/run
service = $${:etc}/service
promise = $${:etc}/promise
srv = $${buildout:directory}/srv

[hold]
recipe = plone.recipe.command
command =
  h='$${slapconfiguration:configuration.hold}'
  test -z "$h" || touch "$h.begun"
  while test -n "$h" && test -e "$h"; do sleep 0.05; done
  test -z '$${slapconfiguration:configuration.fail}' || { echo the last words of an instance; exit 3; }
stop-on-error = true

[config-file]
recipe = slapos.recipe.template
output = $${directory:etc}/word.txt
inline = $${slapconfiguration:configuration.word}

[service]
recipe = slapos.cookbook:wrapper
wrapper-path = $${directory:service}/sleeper
command-line = /bin/sleep 86400

[once]
recipe = slapos.cookbook:wrapper
wrapper-path = $${directory:run}/once
command-line = /bin/true

[promise]
recipe = slapos.recipe.template
inline =
  #!/bin/sh
  f='$${slapconfiguration:configuration.promise}'
  test -z "$f" || test -e "$f" || { echo it is not there; exit 1; }
output = $${directory:promise}/there
mode = 0755

[publish]
recipe = slapos.cookbook:publish
word = $${slapconfiguration:configuration.word}
ip = $${slapconfiguration:ipv4-random}
"#;

/// No service, no promise, nothing published.
const PLAIN: &str = "[buildout]
parts = directory
eggs-directory = ${buildout:eggs-directory}
develop-eggs-directory = ${buildout:develop-eggs-directory}
offline = true

[directory]
recipe = slapos.cookbook:mkdirectory
srv = $${buildout:directory}/srv
";

/// Writes them into `directory`.
pub(crate) fn write(directory: &Path) {
    let put = |name: &str, file: &str, text: &str| {
        let folder = directory.join(name);
        std::fs::create_dir_all(&folder).expect("the place of the profiles can be made");
        let text = text.replace("@HERE@", &folder.to_string_lossy());
        std::fs::write(folder.join(file), text).expect("a profile can be written");
    };
    for (name, instance) in [("demo", DEMO), ("plain", PLAIN)] {
        put(name, "software.cfg", SOFTWARE);
        put(name, "instance.cfg.in", instance);
    }
    put("broken", "software.cfg", BROKEN);
}
