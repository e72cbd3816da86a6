//! Processes an instance, as its partition's user: completes the Software Release's `instance.cfg`
//! and makes its parts.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_cookbook::{Ports, ProfileFiles, load_profile, machine_python, registry};
use slapos_engine::{Buildout, Cancellation, Settings};
use slapos_profile::Location;
use slapos_slap::{
    ComputerPartition, InstanceAnswer, InstanceRequest, PartitionPort, PortError, RequestError,
};
use slapos_sources::LocalFiles;
use slapos_sys::fs;

use super::Channel;
use super::build::{check_free_space, fetcher};
use super::keeper::LogKeeper;
use super::log::RunLog;
use super::marks;
use crate::python;
use crate::worker::{Done, Failure, InstanceJob, Service};

/// Options by section.
type Frozen = IndexMap<String, IndexMap<String, String>>;

/// More than any instance profile has, bytes.
const MAX_PROFILE: u64 = 16 << 20;

pub(super) fn deploy(
    job: InstanceJob,
    channel: &Arc<Channel>,
    cancellation: &Cancellation,
) -> Result<Done, Failure> {
    tidy(&job.directory)?;
    marks::begin(&job)?;
    let log = RunLog::open(&job.directory, marks::INSTANCE_LOG, job.verbose);
    log.line(
        "INFO",
        &format!("processes {}, to be {}", job.partition.id, job.partition.requested_state),
    );
    check_free_space(&job.directory, job.min_free_space)?;
    link_software(&job)?;
    let connection = connection(&job);
    let main = write_profile(&job, &connection)?;
    let directory = job.directory.clone();
    let filter = job.partition.filter.clone();
    let mut buildout = assemble(job, connection, &main, channel, cancellation)?;
    let keeper = LogKeeper::start(&directory);
    let plan = buildout.plan()?;
    buildout.execute(&plan, &log.watching(&**channel))?;
    drop(keeper);
    marks::settle_retention(&directory, &filter, &log)?;
    let services = services(&directory)?;
    Ok(Done::Instance { services })
}

/// The buildout of the completed profile `main`.
fn assemble(
    job: InstanceJob,
    connection: Frozen,
    main: &Path,
    channel: &Arc<Channel>,
    cancellation: &Cancellation,
) -> Result<Buildout, Failure> {
    // Its own: the node's cache belongs to the user who builds.
    let fetcher = fetcher(&job.directory.join(".slapos/cache"), LocalFiles::new());
    let location = Location::parse(&main.display().to_string())?;
    let profile = load_profile(&location, ProfileFiles::new(&fetcher), &[])?;
    let port = Port { partition: job.partition, channel: Arc::clone(channel) };
    let own_python = python::recorded(&job.software_directory);
    let recipes = registry(Ports {
        fetcher,
        slap: Some(Arc::new(port)),
        python: python::recorded(&job.software_directory),
    });
    let settings = Settings {
        frozen: connection,
        executable: own_python.or_else(machine_python),
        cancellation: cancellation.clone(),
        hide_values: true,
        ..Settings::new(&job.directory)
    };
    Ok(Buildout::new(profile, Arc::new(recipes), settings))
}

/// Away with what a worker left that was killed.
fn tidy(directory: &Path) -> Result<(), Failure> {
    slapos_engine::remove_unnamed(directory).map_err(|error| Failure::new(error.to_string()))?;
    for folder in ["log", "promise/result", "promise/cache", "promise/log"] {
        let folder = directory.join(".slapgrid").join(folder);
        fs::remove_unnamed(&folder).map_err(|error| Failure::io("tidy up", &folder, &error))?;
    }
    Ok(())
}

struct Port {
    partition: ComputerPartition,
    channel: Arc<Channel>,
}

impl PartitionPort for Port {
    fn partition(&self) -> &ComputerPartition {
        &self.partition
    }

    fn publish(&self, connection: &IndexMap<String, String>) -> Result<(), PortError> {
        self.channel.publish(None, connection).map_err(PortError)
    }

    fn publish_shared(
        &self,
        reference: &str,
        connection: &IndexMap<String, String>,
    ) -> Result<(), PortError> {
        self.channel.publish(Some(reference), connection).map_err(PortError)
    }

    fn request(&self, request: &InstanceRequest) -> Result<Option<InstanceAnswer>, RequestError> {
        self.channel.request(request)
    }
}

/// `software_release`: people and programs find the Software Release from its instance.
fn link_software(job: &InstanceJob) -> Result<(), Failure> {
    let link = job.directory.join("software_release");
    fs::symlink_atomic(&job.software_directory, &link)
        .map_err(|error| Failure::io("link", &link, &error))
}

/// Copies the instance profile and adds what only the node knows. Appended, so that its lines keep
/// their numbers.
fn write_profile(job: &InstanceJob, connection: &Frozen) -> Result<std::path::PathBuf, Failure> {
    let candidates = ["instance.cfg", "template.cfg"].map(|name| job.software_directory.join(name));
    let Some(source) = candidates.iter().find(|path| path.exists()) else {
        return Err(Failure::new(format!(
            "the Software Release in {} has no instance.cfg",
            job.software_directory.display()
        ))
        .hint("its profile must have a part that makes ${buildout:directory}/instance.cfg"));
    };
    let mut text = fs::read_to_string_limited(source, MAX_PROFILE)
        .map_err(|error| Failure::io("read", source, &error))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&connection_text(connection));
    let path = job.directory.join("buildout.cfg");
    fs::write_replace_if_changed(&path, text.as_bytes(), 0o640)
        .map_err(|error| Failure::io("write", &path, &error))?;
    Ok(path)
}

/// What the node tells the profile, by section. Values from outside are data: they are given to the
/// engine as exact text, in which nothing is substituted. The file has them for people to read.
fn connection(job: &InstanceJob) -> Frozen {
    let lines = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n")
    };
    let (key, certificate) = match &job.certificate {
        Some((key, certificate)) => (key.display().to_string(), certificate.display().to_string()),
        None => Default::default(),
    };
    let storage = job.storage_home.display().to_string();
    let url = job.partition.software.as_ref().map_or("", |url| url.as_str());
    let common = [
        ("computer-id", job.partition.computer.as_str()),
        ("partition-id", job.partition.id.as_str()),
        ("server-url", &job.master_url),
        ("software-release-url", url),
        ("key-file", &key),
        ("cert-file", &certificate),
    ];
    let owned = |name: String, value: &str| (name, value.to_owned());
    let mut connection: IndexMap<_, _> =
        common.iter().map(|(name, value)| owned((*name).to_owned(), value)).collect();
    connection.insert("shared-part-list".to_owned(), lines(&job.shared_part_list));
    connection.insert("build-time-part-list".to_owned(), lines(&job.build_time_part_list));
    connection.insert("requested-state".to_owned(), job.partition.requested_state.to_string());
    let underscored = common.iter().map(|(name, value)| owned(name.replace('-', "_"), value));
    let single = |name: &str, value: &str| IndexMap::from([owned(name.to_owned(), value)]);
    IndexMap::from([
        ("slap-connection".to_owned(), connection),
        ("slap_connection".to_owned(), underscored.collect()),
        ("storage-configuration".to_owned(), single("storage-home", &storage)),
        ("network-information".to_owned(), single("global-ipv4-network", &job.global_ipv4_network)),
    ])
}

/// The same as text. What could be taken for anything but a plain value is left out.
fn connection_text(connection: &Frozen) -> String {
    let mut text =
        String::from("\n[buildout]\nbin-directory = ${buildout:directory}/sbin\noffline = true\n");
    for (section, options) in connection {
        let _ = writeln!(text, "\n[{section}]");
        for (option, value) in options {
            let plain = !value.contains('$') && !value.contains(char::is_control);
            let _ = writeln!(text, "{option} = {}", if plain { value } else { "" });
        }
    }
    text
}

/// What is to be supervised: the executables of `etc/run` and `etc/service`.
pub(super) fn services(directory: &Path) -> Result<Vec<Service>, Failure> {
    let mut services = Vec::new();
    for (folder, watched) in [("etc/run", false), ("etc/service", true)] {
        let folder = directory.join(folder);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Failure::io("list", &folder, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| Failure::io("list", &folder, &error))?.path();
            let executable = std::fs::metadata(&path)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
            // The node warns of a name that is not UTF-8.
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if let (true, Some(name)) = (executable, name.filter(|name| !name.starts_with('.'))) {
                services.push(Service { path: folder.join(&name), name, watched });
            }
        }
    }
    services.sort_by(|a, b| (&a.name, a.watched).cmp(&(&b.name, b.watched)));
    Ok(services)
}
