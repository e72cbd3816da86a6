//! The recipes as profiles use them, run by the engine in a temporary directory.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

mod certificates;
mod compile;
mod eggs;
mod git;
mod instance;
mod instance_files;
mod request;
mod script;
mod servers;
mod services;
mod software;
mod sources;
mod templates;
mod values;
mod wrappers;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use slapos_engine::{BuildError, Buildout, Event, Outcome, Plan, Profile, Settings};
use slapos_profile::{Files, Location, ReadError};
use slapos_slap::{
    ComputerPartition, InstanceAnswer, InstanceRequest, PartitionPort, PortError, RequestError,
};
use slapos_sources::{Fetcher, FetcherConfig};

use crate::{Ports, registry};

struct Disk;

impl Files for Disk {
    fn read(&self, at: &Location) -> Result<String, ReadError> {
        let path = at.as_path().ok_or(ReadError::NotFound)?;
        std::fs::read_to_string(path).map_err(|error| ReadError::Other(error.to_string()))
    }
}

/// What a Master says to a request.
type Answer = Result<Option<InstanceAnswer>, RequestError>;

/// A Master that remembers what was published and asked for.
struct Master {
    partition: ComputerPartition,
    published: Mutex<Vec<IndexMap<String, String>>>,
    /// What was published for shared instances.
    shared: Mutex<Vec<(String, IndexMap<String, String>)>>,
    requested: Mutex<Vec<InstanceRequest>>,
    answer: Answer,
    /// Why nothing can be published, if so.
    refuses: Option<String>,
}

impl PartitionPort for Master {
    fn partition(&self) -> &ComputerPartition {
        &self.partition
    }

    fn publish(&self, connection: &IndexMap<String, String>) -> Result<(), PortError> {
        if let Some(why) = &self.refuses {
            return Err(PortError(why.clone()));
        }
        self.published.lock().unwrap().push(connection.clone());
        Ok(())
    }

    fn publish_shared(
        &self,
        reference: &str,
        connection: &IndexMap<String, String>,
    ) -> Result<(), PortError> {
        if let Some(why) = &self.refuses {
            return Err(PortError(why.clone()));
        }
        self.shared.lock().unwrap().push((reference.to_owned(), connection.clone()));
        Ok(())
    }

    fn request(&self, request: &InstanceRequest) -> Answer {
        self.requested.lock().unwrap().push(request.clone());
        self.answer.clone()
    }
}

/// A buildout directory with a cache of downloads and, for instances, a partition.
struct Yard {
    root: tempfile::TempDir,
    partition: Option<ComputerPartition>,
    /// What the Master says to every request.
    answer: Answer,
    /// Why the Master refuses what is published, if it does.
    refuses: Option<String>,
    jobs: usize,
    /// The fetcher may ask others, as far as it is concerned.
    online: bool,
}

impl Yard {
    fn software() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root, partition: None, answer: Ok(None), refuses: None, jobs: 2, online: false }
    }

    fn instance() -> Self {
        let mut partition = ComputerPartition::free("COMP-1".into(), "slappart0".into());
        partition.software_type = "default".to_owned();
        partition.instance_title = "my instance".to_owned();
        let ip = |text: &str| ("lo".to_owned(), text.parse::<IpAddr>().unwrap());
        partition.ip_list = vec![ip("::1"), ip("127.0.0.1")];
        Self { partition: Some(partition), jobs: 1, ..Self::software() }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join("build").join(relative)
    }

    fn write(&self, relative: &str, content: &str) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap()
    }

    fn mode(&self, relative: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(self.path(relative)).unwrap().permissions().mode() & 0o777
    }

    fn master(&self) -> Option<Arc<Master>> {
        let partition = self.partition.clone()?;
        Some(Arc::new(Master {
            partition,
            published: Mutex::default(),
            shared: Mutex::default(),
            requested: Mutex::default(),
            answer: self.answer.clone(),
            refuses: self.refuses.clone(),
        }))
    }

    fn buildout(&self, profile: &str, master: Option<&Arc<Master>>) -> Buildout {
        let directory = self.path("");
        std::fs::create_dir_all(&directory).unwrap();
        let base = Location::from_path(&directory).unwrap();
        let name = directory.join("test.cfg").display().to_string();
        let profile = Profile::load_text(&name, profile, &base, &Disk, &[]).unwrap();
        let mut config = FetcherConfig::new(self.root.path().join("cache"));
        config.by_hash = false;
        config.offline = !self.online;
        let slap = master.map(|master| master.clone() as Arc<dyn PartitionPort>);
        let ports = Ports { fetcher: Arc::new(Fetcher::new(config)), slap, python: None };
        let directory = std::path::absolute(directory.components().collect::<PathBuf>()).unwrap();
        let executable = crate::machine_python();
        let settings = Settings { jobs: self.jobs, executable, ..Settings::new(directory) };
        Buildout::new(profile, Arc::new(registry(ports)), settings)
    }

    fn plan(&self, profile: &str) -> Result<Plan, BuildError> {
        self.buildout(profile, self.master().as_ref()).plan()
    }

    /// Runs, and tells what was published.
    fn deploy(&self, profile: &str) -> Result<Vec<IndexMap<String, String>>, BuildError> {
        let master = self.master();
        let mut buildout = self.buildout(profile, master.as_ref());
        let plan = buildout.plan()?;
        buildout.execute(&plan, &slapos_engine::NoObserver)?;
        let published = master.map(|master| master.published.lock().unwrap().clone());
        Ok(published.unwrap_or_default())
    }

    fn run(&self, profile: &str) -> Result<Outcome, BuildError> {
        let mut buildout = self.buildout(profile, self.master().as_ref());
        let plan = buildout.plan()?;
        buildout.execute(&plan, &slapos_engine::NoObserver)
    }

    /// Runs and tells the warnings.
    fn warnings(&self, profile: &str) -> Vec<String> {
        let mut buildout = self.buildout(profile, self.master().as_ref());
        let plan = buildout.plan().unwrap();
        let warnings = Mutex::new(Vec::new());
        let note = |event: &Event| {
            if let Event::Warning { text, .. } = event {
                warnings.lock().unwrap().push(self.clean(text));
            }
        };
        buildout.execute(&plan, &note).unwrap();
        warnings.into_inner().unwrap()
    }

    /// The error of a profile that must not be accepted, or of a part that must fail.
    fn error(&self, profile: &str) -> String {
        let error = match self.run(profile) {
            Ok(outcome) => panic!("nothing failed: {outcome:?}"),
            Err(error) => error,
        };
        self.clean(&error.to_string())
    }

    /// All that people see of an error.
    fn whole(&self, error: &BuildError) -> String {
        let text = match error {
            BuildError::Profile(error) => error.render(false),
            BuildError::Part(failures) => {
                failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            }
            other => other.to_string(),
        };
        self.clean(&text)
    }

    /// `text` without what is different in every test run.
    fn clean(&self, text: &str) -> String {
        text.replace(&*self.root.path().to_string_lossy(), "ROOT")
    }
}
