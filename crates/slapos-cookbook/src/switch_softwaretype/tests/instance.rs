//! A partition with instance profiles, in a temporary directory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use slapos_engine::{BuildError, Buildout, Event, Settings};
use slapos_profile::{Location, Profile};
use slapos_slap::{
    ComputerPartition, InstanceAnswer, InstanceRequest, PartitionPort, PortError, RequestError,
};
use slapos_sources::{Fetcher, FetcherConfig};

use super::super::ProfileFiles;
use crate::{Ports, registry};

/// The outer profile: one inner profile per type, one of them made by another part.
pub(super) const OUTER: &str = "\
[buildout]
parts = switch
eggs-directory = /opt/eggs

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.greeting = Hello

[slap-connection]
server-url = http://master/$${not:a-reference}

[made]
recipe = slapos.recipe.template:jinja2
output = ${buildout:directory}/made.cfg
url = ${buildout:directory}/made.cfg.in
context = key type slap-configuration:slap-software-type

[switch]
recipe = slapos.cookbook:switch-softwaretype
default = made:output
other = other.cfg
";

/// Writes the greeting; itself a template.
const MADE: &str = "\
[buildout]
parts = page

[page]
recipe = slapos.recipe.template:jinja2
output = ${buildout:directory}/page
inline = {% raw %}{{ greeting }} from {{ url }}{% endraw %} ({{ type }})
context =
  key greeting slap-configuration:configuration.greeting
  key url slap-connection:server-url
";

pub(super) const OTHER: &str = "\
[buildout]
parts = note

[note]
recipe = slapos.recipe.template
output = ${buildout:directory}/note
inline = eggs in ${buildout:eggs-directory}
";

struct Master(ComputerPartition);

impl PartitionPort for Master {
    fn partition(&self) -> &ComputerPartition {
        &self.0
    }

    fn publish(&self, _connection: &IndexMap<String, String>) -> Result<(), PortError> {
        Err(PortError("nothing is published here".to_owned()))
    }

    fn publish_shared(&self, _: &str, _: &IndexMap<String, String>) -> Result<(), PortError> {
        Err(PortError("nothing is published here".to_owned()))
    }

    fn request(&self, _: &InstanceRequest) -> Result<Option<InstanceAnswer>, RequestError> {
        Err(RequestError::Refused("nothing is asked for here".to_owned()))
    }
}

/// A partition with its instance profiles.
pub(super) struct Instance {
    root: tempfile::TempDir,
    pub(super) partition: ComputerPartition,
}

impl Instance {
    pub(super) fn new(software_type: &str) -> Self {
        let mut partition = ComputerPartition::free("COMP-1".into(), "slappart0".into());
        partition.software_type = software_type.to_owned();
        let root = tempfile::tempdir().unwrap();
        let this = Self { root, partition };
        this.write("instance.cfg", OUTER);
        this.write("made.cfg.in", MADE);
        this.write("other.cfg", OTHER);
        this
    }

    pub(super) fn with_inner(profile: &str) -> Self {
        let this = Self::new("other");
        this.write("other.cfg", profile);
        this
    }

    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        let parameters = &mut self.partition.parameters;
        parameters.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn buildout(&self) -> Result<Buildout, BuildError> {
        let mut config = FetcherConfig::new(self.path("cache"));
        (config.offline, config.by_hash) = (true, false);
        let fetcher = Arc::new(Fetcher::new(config));
        let main = Location::from_path(&self.path("instance.cfg")).unwrap();
        let profile = Profile::load(&main, &ProfileFiles::new(&fetcher), &[])?;
        let slap: Arc<dyn PartitionPort> = Arc::new(Master(self.partition.clone()));
        let slap = Some(slap);
        let recipes = Arc::new(registry(Ports { fetcher, slap, python: None }));
        let settings = Settings::new(self.root.path());
        Ok(Buildout::new(profile, recipes, settings))
    }

    pub(super) fn plan(&self) -> String {
        self.clean(&self.buildout().unwrap().plan().unwrap().to_string())
    }

    /// Deploys, and tells what was done with which part.
    pub(super) fn deploy(&self) -> Result<Vec<String>, BuildError> {
        let mut buildout = self.buildout()?;
        let plan = buildout.plan()?;
        let events = Mutex::new(Vec::new());
        let note = |event: &Event| {
            let text = match event {
                Event::PartStarted { part, action, .. } => format!("{action} {part}"),
                Event::PartFailed { part, .. } => format!("failed {part}"),
                Event::Warning { text, .. } => format!("warning {text}"),
                _ => return,
            };
            events.lock().unwrap().push(text);
        };
        buildout.execute(&plan, &note)?;
        Ok(events.into_inner().unwrap())
    }

    pub(super) fn error(&self) -> String {
        match self.deploy() {
            Ok(events) => panic!("nothing failed: {events:?}"),
            Err(BuildError::Profile(error)) => self.clean(&error.render(false)),
            Err(error) => self.clean(&error.to_string()),
        }
    }

    fn clean(&self, text: &str) -> String {
        text.replace(&*self.root.path().to_string_lossy(), "ROOT")
    }
}
