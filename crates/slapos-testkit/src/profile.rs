//! Software Releases that build in a moment.

use std::path::{Path, PathBuf};

/// A Software Release without anything to compile: its instance runs `sleep`, writes a file from
/// its parameter `word`, keeps a data file, publishes `word`, and promises that the file is there.
pub const SERVICE_PROFILE: &str = r#"
[buildout]
parts = instance

[instance]
recipe = slapos.recipe.template
url = ${:_profile_base_location_}/instance.cfg.in
output = ${buildout:directory}/instance.cfg
"#;

const INSTANCE: &str = r#"[buildout]
parts = service promise publish data

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.word = hello

[directory]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
service = $${:etc}/service
promise = $${:etc}/promise
srv = $${buildout:directory}/srv

[configuration]
recipe = slapos.recipe.template:jinja2
output = $${directory:etc}/word.txt
inline = {{ word }}
context = key word slap-configuration:configuration.word

[data]
recipe = plone.recipe.command
command = test -e $${directory:srv}/born || date +%s%N > $${directory:srv}/born
stop-on-error = true

[service]
recipe = slapos.cookbook:wrapper
wrapper-path = $${directory:service}/sleeper
command-line = /bin/sleep 1000000

[promise]
recipe = slapos.recipe.template
inline =
  #!/bin/sh
  test -e $${configuration:output} || { echo no word; exit 1; }
output = $${directory:promise}/word-is-there
mode = 0755

[publish]
recipe = slapos.cookbook:publish
word = $${slap-configuration:configuration.word}
ip = $${slap-configuration:ipv4-random}
"#;

/// A Software Release that the original builds as we do, without a network: what it leaves for its
/// instances is `instance.cfg.in` beside it, in the directory that `@HERE@` stands for.
pub const SOFTWARE_FOR_BOTH: &str = "[buildout]
parts = instance-template
newest = false
offline = true

[instance-template]
recipe = slapos.recipe.template
url = @HERE@/instance.cfg.in
output = ${buildout:directory}/instance.cfg
";

/// How an `instance.cfg.in` for the original and for us begins: its parts, and the section
/// `slapconfiguration`, to which what follows may add options.
pub fn instance_for_both(parts: &str, rest: &str) -> String {
    format!(
        "[buildout]
parts = {parts}
eggs-directory = ${{buildout:eggs-directory}}
develop-eggs-directory = ${{buildout:develop-eggs-directory}}
offline = true

[slapconfiguration]
recipe = slapos.cookbook:slapconfiguration
computer = $${{slap-connection:computer-id}}
partition = $${{slap-connection:partition-id}}
url = $${{slap-connection:server-url}}
key = $${{slap-connection:key-file}}
cert = $${{slap-connection:cert-file}}
{rest}"
    )
}

/// A profile tree in a directory that every user can read.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// An empty tree at `root`.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(root: PathBuf) -> Self {
        let tree = Self { root };
        tree.write("software/README", "");
        tree.write("component/README", "");
        tree
    }

    /// Adds the Software Release of [`SERVICE_PROFILE`] and returns its profile's path.
    pub fn add_service(&self) -> PathBuf {
        self.write("software/service/instance.cfg.in", INSTANCE);
        self.write("software/service/software.cfg", SERVICE_PROFILE)
    }

    /// Adds a Software Release `name` with this profile and returns its path.
    pub fn add_software(&self, name: &str, profile: &str) -> PathBuf {
        self.write(&format!("software/{name}/software.cfg"), profile)
    }

    /// Writes a file below the tree and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.join(name);
        let parent = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent).expect("a test's directory can be made");
        std::fs::write(&path, content).expect("a test's file can be written");
        path
    }

    /// The tree's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
