//! A Master that says what a case wants and writes down what it is told.
//!
//! It speaks the classic SLAP routes, over the wire forms of `slapos-slap`, as the public one does:
//! it knows no computer but its own (404), and keeps the last report of each instance.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use indexmap::IndexMap;
use slapos_slap::convert::{
    answer_to_value, computer_to_value, description_from_value, partition_to_value,
    request_from_form, texts_from_value,
};
use slapos_slap::marshal::{dumps, loads};
use slapos_slap::{
    Computer, ComputerId, ComputerPartition, InstanceAnswer, InstanceRequest, InstanceState, Value,
};

use crate::http::{Asked, serve};

/// The only computer.
pub(crate) const COMPUTER: &str = "COMP-1";

/// What the Master wants, and what it was told, a line each.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) computer: Computer,
    told: Vec<String>,
    /// Makes each timestamp another.
    changes: u32,
}

impl World {
    fn new(partitions: u32) -> Self {
        let partition = |index| {
            let name = format!("slappart{index}");
            let mut partition = ComputerPartition::free(COMPUTER.into(), name.as_str().into());
            let address = [127, 0, 0, 1].into();
            partition.ip_list = vec![(name, address)];
            partition
        };
        let computer = Computer {
            id: ComputerId::new(COMPUTER),
            software: Vec::new(),
            partitions: (0..partitions).map(partition).collect(),
        };
        Self { computer, told: Vec::new(), changes: 0 }
    }

    /// Another timestamp than any before.
    pub(crate) fn timestamp(&mut self) -> String {
        self.changes += 1;
        format!("{}.5", 1_700_000_000 + self.changes)
    }

    fn partition(&mut self, id: &str) -> Option<&mut ComputerPartition> {
        self.computer.partitions.iter_mut().find(|partition| partition.id.as_str() == id)
    }
}

/// A Master that listens until it is dropped.
pub(crate) struct Master {
    world: Arc<Mutex<World>>,
    port: u16,
    listening: Option<Listening>,
}

struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Master {
    pub(crate) fn start(partitions: u32) -> Self {
        let world = Arc::new(Mutex::new(World::new(partitions)));
        let mut master = Self { world, port: slapos_testkit::free_port(), listening: None };
        master.up();
        master
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said since the last time.
    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.world().told)
    }

    /// Listens.
    pub(crate) fn up(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("the port is free");
        let stop = Arc::new(AtomicBool::new(false));
        let (world, stopped) = (Arc::clone(&self.world), Arc::clone(&stop));
        let thread = std::thread::spawn(move || listen(&listener, &world, &stopped));
        self.listening = Some(Listening { stop, thread });
    }

    /// Nobody listens any more.
    pub(crate) fn down(&mut self) {
        let Some(Listening { stop, thread }) = self.listening.take() else { return };
        stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = thread.join();
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.down();
    }
}

fn listen(listener: &TcpListener, world: &Arc<Mutex<World>>, stop: &AtomicBool) {
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let world = Arc::clone(world);
        std::thread::spawn(move || {
            serve(&stream, |asked| {
                let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
                world.told.extend(line(asked));
                world.answer(asked)
            });
        });
    }
}

/// What only our Masters know. Others say so, and a node of ours goes on without.
fn of_our_own(asked: &Asked) -> bool {
    asked.route.starts_with("api/")
}

/// How a report is written down: the route, whom it is about, and what it adds. Questions are not.
fn line(asked: &Asked) -> Option<String> {
    if !asked.post || of_our_own(asked) {
        return None;
    }
    let text = |value: &Value| match texts_from_value(value) {
        Ok(texts) => texts.iter().map(|(key, text)| format!("{key}={text}")).collect::<Vec<_>>(),
        Err(_) => vec![format!("{value:?}")],
    };
    let marshalled = |field: &str| loads(asked.field(field)).map(|value| text(&value).join(" "));
    let whom = match asked.field("url") {
        "" => asked.field("computer_partition_id"),
        url => url.rsplit('/').nth(1).unwrap_or(url),
    };
    let more = match asked.route.as_str() {
        "setComputerPartitionConnectionXml" => marshalled("connection_xml").unwrap_or_default(),
        "requestComputerPartition" => asked.field("partition_reference").to_owned(),
        "loadComputerConfigurationFromXML" => formatted(asked.field("xml")),
        _ => asked.field("error_log").to_owned() + asked.field("message"),
    };
    let words = [asked.route.as_str(), whom, &more].map(str::trim);
    let words = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
    Some(words.join(" ").replace('\n', " | "))
}

/// The computer and its partitions with their addresses.
fn formatted(xml: &str) -> String {
    let read = loads(xml).map_err(|error| error.to_string());
    let read =
        read.and_then(|value| description_from_value(&value).map_err(|error| error.to_string()));
    let description = match read {
        Ok(description) => description,
        Err(error) => return error,
    };
    let partitions = description.partitions.iter().map(|partition| {
        let addresses = partition.addresses.iter().map(|address| address.addr.to_string());
        format!("{}={}", partition.reference, addresses.collect::<Vec<_>>().join(","))
    });
    format!("{} {}", description.reference, partitions.collect::<Vec<_>>().join(" "))
}

impl World {
    fn answer(&mut self, asked: &Asked) -> (u16, String) {
        let unknown = || (404, "there is no such thing".to_owned());
        let of_another = asked.fields.get("computer_id").is_some_and(|id| id != COMPUTER);
        let id = asked.field("computer_partition_id").to_owned();
        match asked.route.as_str() {
            _ if of_another || of_our_own(asked) => unknown(),
            "getFullComputerInformation" | "getComputerInformation" => {
                found(&computer_to_value(&self.computer))
            }
            "registerComputerPartition" => {
                let id = asked.field("computer_partition_reference").to_owned();
                self.partition(&id)
                    .map_or_else(unknown, |found_one| found(&partition_to_value(found_one)))
            }
            "getComputerPartitionCertificate" => {
                found(&Value::dict([("certificate", Value::str("")), ("key", Value::str(""))]))
            }
            "requestComputerPartition" => self.request(asked),
            // As the public Master before it had it, and the original's own one.
            "updateComputerPartitionRelatedInstanceList" => unknown(),
            _ if !asked.post => unknown(),
            _ => (200, self.note(&asked.route, &id, asked)),
        }
    }

    /// Keeps what a report says about an instance.
    fn note(&mut self, route: &str, id: &str, asked: &Asked) -> String {
        let Some(partition) = self.partition(id) else { return "OK".to_owned() };
        let status = |text: &str| Some(text.to_owned());
        match route {
            "startedComputerPartition" => {
                partition.access_status = status("#access Instance correctly started");
            }
            "softwareInstanceError" => partition.access_status = status("#error it is broken"),
            "setComputerPartitionConnectionXml" => {
                let sent = loads(asked.field("connection_xml")).ok();
                let texts = sent.and_then(|value| texts_from_value(&value).ok());
                partition.connection = texts.unwrap_or_default();
            }
            "destroyedComputerPartition" => {
                let ip_list = std::mem::take(&mut partition.ip_list);
                *partition =
                    ComputerPartition::free(partition.computer.clone(), partition.id.clone());
                partition.ip_list = ip_list;
            }
            _ => {}
        }
        "OK".to_owned()
    }

    fn request(&mut self, asked: &Asked) -> (u16, String) {
        let request = request_from_form(|name| asked.fields.get(name).map(String::as_str));
        let Ok(request) = request else { return (400, "not understood".to_owned()) };
        let timestamp = self.timestamp();
        let title = request.title.as_str();
        let partitions = &mut self.computer.partitions;
        let known = partitions.iter().position(|one| one.instance_title == title);
        let Some(place) = known.or_else(|| partitions.iter().position(ComputerPartition::is_free))
        else {
            return (404, "No free computer partition found".to_owned());
        };
        let Some(partition) = partitions.get_mut(place) else { return (404, String::new()) };
        apply(partition, &request, timestamp);
        let answer = answer_to_value(&answered(partition));
        answer.map_or_else(|error| (500, error.to_string()), |value| found(&value))
    }
}

/// Makes the partition hold what is asked for.
fn apply(partition: &mut ComputerPartition, request: &InstanceRequest, timestamp: String) {
    let before = partition.clone();
    partition.software = Some(request.software.clone());
    partition.software_type = request.software_type.clone();
    partition.parameters = request.parameters.clone();
    partition.instance_title = request.title.to_string();
    partition.root_instance_title = request.title.to_string();
    partition.requested_state = request.state.unwrap_or(InstanceState::Started);
    if *partition != before {
        partition.timestamp = Some(timestamp);
    }
}

fn answered(partition: &ComputerPartition) -> InstanceAnswer {
    InstanceAnswer {
        partition: partition.id.clone(),
        computer: partition.computer.clone(),
        guid: Some(partition.guid.clone()),
        connection: partition.connection.clone(),
        parameters: partition.parameters.clone(),
        state: partition.requested_state,
        ip_list: partition.ip_list.clone(),
        software_type: partition.software_type.clone(),
        software_url: partition.software.clone().unwrap_or_else(|| "".into()),
        timestamp: partition.timestamp.clone(),
        access_status: partition.access_status.clone(),
        master_url: None,
    }
}

fn found(value: &Value) -> (u16, String) {
    dumps(value).map_or_else(|error| (500, error.to_string()), |text| (200, text))
}

/// An instance of the Software Release at `url` in partition number `index`, started.
pub(crate) fn wish(world: &mut World, index: usize, url: &str, parameters: &[(&str, &str)]) {
    let timestamp = world.timestamp();
    let Some(partition) = world.computer.partitions.get_mut(index) else { return };
    let texts = parameters.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    partition.software = Some(url.into());
    "default".clone_into(&mut partition.software_type);
    partition.parameters = texts.collect::<IndexMap<_, _>>();
    partition.instance_title = format!("instance {index}");
    partition.root_instance_title = format!("instance {index}");
    partition.requested_state = InstanceState::Started;
    partition.timestamp = Some(timestamp);
}
