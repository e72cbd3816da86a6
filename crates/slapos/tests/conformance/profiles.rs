//! The Software Releases of the cases: nothing to compile, and recipes that both sides have.

use std::path::Path;

use slapos_testkit::{SOFTWARE_FOR_BOTH, instance_for_both};

/// All of them.
pub(crate) const NAMES: [&str; 5] = ["demo", "plain", "parent", "plugin", "broken"];
/// Those that cases about instances find built.
pub(crate) const BUILT: [&str; 4] = ["demo", "plain", "parent", "plugin"];

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
const DEMO: &str = r#"configuration.word = hello
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
command-line = /bin/sh -c 'echo once >> $${directory:srv}/ran'

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
const PLAIN: &str = "
[directory]
recipe = slapos.cookbook:mkdirectory
srv = $${buildout:directory}/srv
";

/// Asks for another instance, of the Software Release that the parameter `child` names, and
/// publishes what that one publishes.
const PARENT: &str = "
[child]
recipe = slapos.cookbook:request
computer-id = $${slap-connection:computer-id}
partition-id = $${slap-connection:partition-id}
server-url = $${slap-connection:server-url}
key-file = $${slap-connection:key-file}
cert-file = $${slap-connection:cert-file}
software-url = $${slapconfiguration:configuration.child}
name = child
return = word
config-word = asked for

[publish]
recipe = slapos.cookbook:publish
of-child = $${child:connection-word}
";

/// A promise in Python that holds while the file `promise` is there.
const PLUGIN: &str = r#"
[directory]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
plugin = $${:etc}/plugin

[plugin]
recipe = slapos.recipe.template
output = $${directory:plugin}/its_file.py
inline =
  import sys
  sys.path[0:0] = ['@SITE@']
  import os
  from zope.interface import implementer
  from slapos.grid.promise import interface
  from slapos.grid.promise.generic import GenericPromise

  extra_config_dict = {'wanted': '$${slapconfiguration:configuration.promise}'}

  @implementer(interface.IPromise)
  class RunPromise(GenericPromise):
    def sense(self):
      if os.path.exists(self.getConfig('wanted')):
        self.logger.info('it is there')
      else:
        self.logger.error('the plugin misses its file')
"#;

/// Writes them into `directory`; `site` is where Python finds the original.
pub(crate) fn write(directory: &Path, site: &Path) {
    let put = |name: &str, file: &str, text: &str| {
        let folder = directory.join(name);
        std::fs::create_dir_all(&folder).expect("the place of the profiles can be made");
        let text = text.replace("@HERE@", &folder.to_string_lossy());
        let text = text.replace("@SITE@", &site.to_string_lossy());
        std::fs::write(folder.join(file), text).expect("a profile can be written");
    };
    for (name, parts, rest) in [
        ("demo", "hold config-file service once promise publish", DEMO),
        ("plain", "directory", PLAIN),
        ("parent", "publish", PARENT),
        ("plugin", "plugin", PLUGIN),
    ] {
        put(name, "software.cfg", SOFTWARE_FOR_BOTH);
        put(name, "instance.cfg.in", &instance_for_both(parts, rest));
    }
    put("broken", "software.cfg", BROKEN);
}
