//! The real client against a real server on a port of its own.

mod access;
mod answers;
mod api;
mod asking;
mod away;
mod contact;
mod contrast;
mod events;
mod feed;
mod forgetting;
mod fuzz;
mod limits;
mod noted;
mod pairs;
mod places;
mod problems;
mod standing;
mod status;
mod strangers;
mod summary;
mod usage;
mod world;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use slapos_slap::{
    Address, ComputerDescription, ComputerId, DEFAULT_TIMEOUT, InstanceRequest, InstanceState,
    PartitionDescription, PartitionId, SlapClient, SlapError, SoftwareState, SoftwareUrl,
    TapDescription,
};
use slapos_sys::Secret;
use tokio::sync::oneshot;

use crate::connections::Limits;
use crate::{Access, Database, Master, MasterConfig, MasterError, RequestsConfig};

/// A Master that serves until it is dropped.
struct Running {
    address: SocketAddr,
    database: Database,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    directory: tempfile::TempDir,
}

fn config(database: Database, port: u16) -> MasterConfig {
    MasterConfig {
        host: "127.0.0.1".to_owned(),
        port,
        database,
        token: Secret::new("the token"),
        computer_id: "computer".into(),
        access: Access::default(),
        requests: RequestsConfig { judge: crate::testing::JUDGE, ..RequestsConfig::default() },
        protocols: crate::Protocols::default(),
    }
}

impl Running {
    fn new() -> Running {
        Running::with(Limits::default())
    }

    fn with(limits: Limits) -> Running {
        Running::arranged(move |master| master.limits = limits)
    }

    fn arranged(arrange: impl FnOnce(&mut Master) + Send + 'static) -> Running {
        Running::configured(|_| {}, arrange)
    }

    fn configured(
        configure: impl FnOnce(&mut MasterConfig),
        arrange: impl FnOnce(&mut Master) + Send + 'static,
    ) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let database = crate::testing::database(&directory.path().join("proxy.db"));
        let (ready, bound) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let mut config = config(database.clone(), 0);
        configure(&mut config);
        let thread = std::thread::spawn(move || {
            runtime().block_on(async move {
                let mut master = Master::bind(config).await.unwrap();
                arrange(&mut master);
                ready.send(master.local_addr()).unwrap();
                master.serve(async { drop(stopped.await) }).await.unwrap();
            });
        });
        let address = bound.recv().unwrap();
        let (stop, thread) = (Some(stop), Some(thread));
        Running { address, database, stop, thread, directory }
    }

    fn client(&self) -> SlapClient {
        self.client_with(Some("the token"))
    }

    fn client_with(&self, token: Option<&str>) -> SlapClient {
        let url = format!("http://{}", self.address);
        SlapClient::new(&url, token.map(Secret::new), DEFAULT_TIMEOUT).unwrap()
    }

    /// A formatted computer and its client.
    fn formatted(partitions: usize) -> (Running, SlapClient) {
        let running = Running::new();
        let client = running.client();
        client.load_computer_configuration(&description(partitions)).unwrap();
        (running, client)
    }

    /// The status and body of a request written by hand.
    fn raw(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head}\r\nHost: m\r\nAuthorization: Bearer the token\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn description(partitions: usize) -> ComputerDescription {
    let partition = |number: usize| {
        let addr = format!("fd00::{number}").parse().unwrap();
        let netmask = "ffff::".to_owned();
        PartitionDescription::new(part(number), vec![Address { addr, netmask }])
    };
    ComputerDescription::new(home(), (0..partitions).map(partition).collect())
}

fn home() -> ComputerId {
    "computer".into()
}

fn part(number: usize) -> PartitionId {
    format!("slappart{number}").into()
}

#[test]
fn a_computer_with_all_that_partitions_can_have_is_taken_and_told() {
    let (_running, client) = Running::formatted(1);
    let mut full = description(500);
    for (number, partition) in full.partitions.iter_mut().enumerate() {
        partition.path = format!("/srv/slapgrid/{}", partition.reference);
        partition.user.name = format!("slapuser{number}");
        partition.tap = TapDescription {
            name: format!("slaptap{number}"),
            ipv4_addr: format!("10.1.{}.{}", number / 250, number % 250 + 2),
            ipv4_netmask: "255.255.0.0".to_owned(),
            ipv4_gateway: "10.1.0.1".to_owned(),
            ipv4_network: "10.1.0.0".to_owned(),
            ipv6_addr: format!("fd00:0:0:8{number:03x}:ffff:ffff:ffff:ffff"),
            ipv6_netmask: "ffff:ffff:ffff:ffff::".to_owned(),
            ipv6_gateway: format!("fd00:0:0:8{number:03x}::1"),
            ipv6_network: format!("fd00:0:0:8{number:03x}::1/64"),
        };
        partition.tun = Some(partition.tap.clone());
    }
    client.load_computer_configuration(&full).unwrap();
    client.request(&InstanceRequest::new("a", "http://example.org/software.cfg")).unwrap();
    let computer = client.full_computer_information(&home()).unwrap();
    assert_eq!(computer.partitions.len(), 500);
    let busy = &computer.partitions[0];
    assert_eq!(busy.ip_list, [("slaptap0".to_owned(), "fd00::".parse().unwrap())]);
    assert_eq!(busy.full_ip_list, [full.partitions[0].route().unwrap()]);
}

#[test]
fn the_life_of_an_instance() {
    let (_running, client) = Running::formatted(2);
    let software = SoftwareUrl::new("http://example.org/software.cfg");
    client.ping().unwrap();
    client.supply(&software, &home(), SoftwareState::Available).unwrap();
    client.software_building(&software, &home()).unwrap();
    client.software_available(&software, &home()).unwrap();
    let mut request = InstanceRequest::new("é <1> & \"2\"", software.as_str());
    request.parameters = [("_".to_owned(), "{\"a\": \"<é>\"}".to_owned())].into();
    let answer = client.request(&request).unwrap().unwrap();
    assert_eq!((&answer.partition, answer.state), (&part(0), InstanceState::Started));
    assert_eq!(answer.parameters, request.parameters);

    let computer = client.full_computer_information(&home()).unwrap();
    assert_eq!(computer.software[0].url, software);
    let busy = &computer.partitions[0];
    assert_eq!(busy.instance_title, "é <1> & \"2\"");
    assert_eq!(busy.timestamp, answer.timestamp);
    assert_eq!(busy.ip_list, answer.ip_list);
    assert!(computer.partitions[1].is_free());
    assert_eq!(&client.computer_partition(&home(), &part(0)).unwrap(), busy);

    let connection = [("url".to_owned(), "http://[fd00::]/?a&b".to_owned())].into();
    client.set_connection(&home(), &part(0), &connection).unwrap();
    client.instance_started(&home(), &part(0)).unwrap();
    assert_eq!(client.request(&request).unwrap().unwrap().connection, connection);

    let trees = client.instance_trees().unwrap();
    assert_eq!((trees[0].title.as_str(), &trees[0].software), ("é <1> & \"2\"", &software));
    let info = client.instance("é <1> & \"2\"").unwrap().unwrap();
    assert_eq!((&info.parameters, &info.connection), (&request.parameters, &connection));
    assert_eq!((info.requested_state.as_str(), info.shared), ("started", false));
    assert_eq!(client.instance("another").unwrap(), None);

    request.state = Some(InstanceState::Destroyed);
    client.request(&request).unwrap().unwrap();
    client.instance_stopped(&home(), &part(0)).unwrap();
    assert_eq!(client.instance_destroyed(&home(), &part(0)).unwrap(), None);
    assert!(client.computer_partition(&home(), &part(0)).unwrap().is_free());
    client.supply(&software, &home(), SoftwareState::Destroyed).unwrap();
    client.software_destroyed(&software, &home()).unwrap();
    assert!(client.full_computer_information(&home()).unwrap().software.is_empty());
}

#[test]
fn children_bang_rename_and_errors() {
    let (_running, client) = Running::formatted(2);
    client.request(&InstanceRequest::new("root", "s")).unwrap();
    let mut child = InstanceRequest::new("child", "s");
    child.requester = Some((home(), part(0)));
    client.request(&child).unwrap().unwrap();
    let tree = client.tree_addresses(&home(), &part(1)).unwrap();
    assert_eq!(
        tree,
        [part(0), part(1)]
            .map(|id| { client.computer_partition(&home(), &id).unwrap().ip_list })
            .concat()
    );
    let mut gone = InstanceRequest::new("root", "s");
    gone.state = Some(InstanceState::Destroyed);
    client.request(&gone).unwrap().unwrap();
    let reason = client.instance_destroyed(&home(), &part(0)).unwrap().unwrap();
    insta::assert_snapshot!(reason, @"Not destroying yet because this partition has child partitions: slappart1");
    let before = client.computer_partition(&home(), &part(1)).unwrap().timestamp;
    client.bang(&home(), &part(0), "why not").unwrap();
    assert!(client.computer_partition(&home(), &part(1)).unwrap().timestamp > before);
    client.rename(&home(), &part(0), "new").unwrap();
    client.instance_error(&home(), &part(0), "\u{1b}[31mred\u{1b}[0m").unwrap();
    let root = client.computer_partition(&home(), &part(0)).unwrap();
    assert_eq!(root.instance_title, "new");
    assert_eq!(root.access_status.as_deref(), Some("#error \u{fffd}[31mred\u{fffd}[0m"));
    client.software_error(&"s".into(), &home(), "not supplied, so dropped").unwrap();
    let overview = client.overview().unwrap();
    assert_eq!(overview.instances[1].root_title, "new");
    assert_eq!(overview.instances[0].reported.as_ref().unwrap().state, "error");
    assert!(overview.partitions.iter().all(|partition| partition.busy));
}

#[test]
fn what_is_wanted_again_is_kept_and_the_reporter_is_told() {
    let (running, client) = Running::formatted(2);
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    client.supply(&"s".into(), &home(), SoftwareState::Available).unwrap();
    let reason = client.instance_destroyed(&home(), &part(0)).unwrap().unwrap();
    insta::assert_snapshot!(reason, @"Not destroying because the instance a in partition slappart0 of computer is wanted started: request it as destroyed first");
    let conflict = |error: SlapError| match error {
        SlapError::Server { status: 409, body, .. } => body,
        other => panic!("{other}"),
    };
    let software = client.software_destroyed(&"s".into(), &home()).unwrap_err();
    insta::assert_snapshot!(conflict(software), @"the Software Release s is wanted available on computer, so it is not forgotten: supply it as destroyed first");
    let smaller = client.load_computer_configuration(&description(0)).unwrap_err();
    insta::assert_snapshot!(conflict(smaller), @"computer was not formatted anew: partitions that are in use are missing from its new list: slappart0 (instance a); destroy their instances first, or format with these partitions; nothing was changed");
    let overview = client.overview().unwrap();
    assert_eq!((overview.partitions.len(), overview.instances.len()), (2, 1));
    let (status, _) = running.raw(
        "GET /registerComputerPartition?computer_reference=computer&computer_partition_reference=../x HTTP/1.1",
        "",
    );
    assert_eq!(status, 400);
}

#[test]
fn shared_instances_over_http() {
    let (_running, client) = Running::formatted(1);
    client.request(&InstanceRequest::new("host", "s")).unwrap();
    let mut slave = InstanceRequest::new("slave", "s");
    slave.shared = true;
    assert_eq!(client.request(&slave).unwrap().unwrap().guid, None);
    let host = client.computer_partition(&home(), &part(0)).unwrap();
    assert_eq!(host.slave_instance_list.len(), 1);
    let url: indexmap::IndexMap<_, _> = [("url".to_owned(), "u".to_owned())].into();
    client.set_shared_connection(&home(), &part(0), "_slave", &url).unwrap();
    assert_eq!(client.request(&slave).unwrap().unwrap().connection, url);
    let info = client.instance("slave").unwrap().unwrap();
    assert!(info.shared && info.connection == url);
}

#[test]
fn what_is_unknown_is_not_found() {
    let (_running, client) = Running::formatted(1);
    let message = |error: SlapError| match error {
        SlapError::NotFound { message, .. } => message,
        other => panic!("{other}"),
    };
    let computer = client.full_computer_information(&"other".into()).unwrap_err();
    insta::assert_snapshot!(message(computer), @"computer other is not known: run `slapos node format` there first");
    let partition = client.computer_partition(&home(), &part(9)).unwrap_err();
    insta::assert_snapshot!(message(partition), @"computer computer has no partition slappart9");
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    let full = client.request(&InstanceRequest::new("b", "s")).unwrap_err();
    insta::assert_snapshot!(message(full), @"No free computer partition found for: b. Computer computer has 1 partition, which is in use: destroy its instance or format more");
}

#[test]
fn malformed_requests_are_refused_with_a_reason() {
    let (running, client) = Running::formatted(1);
    let post = |route: &str, body: &str| {
        let (status, text) = running.raw(&format!("POST /{route} HTTP/1.1"), body);
        format!("{status} {text}")
    };
    insta::assert_snapshot!(post("supplySupply", "url=u"), @r#"400 the parameter "computer_id" is missing"#);
    insta::assert_snapshot!(post("supplySupply", "url=u&computer_id=computer&state=x"), @r#"400 "x" is not a state: expected available or destroyed"#);
    insta::assert_snapshot!(post("supplySupply", "url=it's&computer_id=computer&state=available"), @r#"200 Supplied "it's" to be available"#);
    insta::assert_snapshot!(post("supplySupply", "url=%00&computer_id=computer&state=available"), @r#"400 the parameter "url" has a control character"#);
    insta::assert_snapshot!(post("requestComputerPartition", ""), @r#"400 the instance needs a name ("partition_reference" is missing or empty)"#);
    insta::assert_snapshot!(post("requestComputerPartition", "partition_reference=a&software_release=b&filter_xml=<x/>"), @"400 filter_xml: not a marshalled value at byte 4: <x> is not a kind of value");
    insta::assert_snapshot!(post("loadComputerConfigurationFromXML", "xml=<!DOCTYPE a>"), @"400 not well-formed XML at byte 12: a document type is not accepted");
    insta::assert_snapshot!(post("loadComputerConfigurationFromXML", "xml=<none/>"), @"400 a dictionary is expected");
    insta::assert_snapshot!(post("softwareInstanceRename", "computer_id=computer&computer_partition_id=x&new_name=y"), @"200 Unknown partition 'x' on 'computer'");
    insta::assert_snapshot!(post("startedComputerPartition", "computer_id=computer&computer_partition_id=../x"), @r#"400 "../x" cannot name a partition: at most 64 letters, digits, `_`, `-` and `.`, and neither `-` nor `.` at the start"#);
    insta::assert_snapshot!(post("nowhere", ""), @"404 this Master has no /nowhere");
    assert_eq!(running.raw("GET /supplySupply HTTP/1.1", "").0, 405);
    assert_eq!(running.raw("GET /hateoas/?mode=search&query=x HTTP/1.1", "").0, 400);
    assert!(client.overview().unwrap().instances.is_empty());
}

#[test]
fn harmless_routes_answer_as_documented() {
    let running = Running::new();
    let ask = |head: &str, body: &str| {
        let (status, text) = running.raw(&format!("{head} HTTP/1.1"), body);
        assert_eq!(status, 200, "{head}: {text}");
        text
    };
    let (_described, client) = Running::formatted(1);
    client.related_instances(&home(), &part(0), &["a".to_owned()]).unwrap();
    let unknown = client.related_instances(&home(), &part(9), &[]).unwrap_err();
    assert!(matches!(unknown, SlapError::NotFound { .. }), "{unknown}");
    let given = client.partition_certificate(&home(), &part(0)).unwrap();
    assert_eq!((given.certificate.as_str(), given.key.expose()), ("", ""));
    insta::assert_snapshot!(ask("POST /computerBang", "computer_id=computer"), @"<marshal><string></string></marshal>");
    insta::assert_snapshot!(ask("GET /getComputerPartitionStatus", ""), @"<marshal><string>Not implemented.</string></marshal>");
    insta::assert_snapshot!(ask("GET /getSoftwareReleaseListFromSoftwareProduct?software_product_reference=x", ""), @r#"<marshal><list id="i2"/></marshal>"#);
    insta::assert_snapshot!(ask("GET /getHateoasUrl", ""), @"http://m/hateoas/");
    assert_eq!(ask("GET /getRunId", "").len(), 32);
    assert_eq!(ask("GET /getRunId", ""), ask("GET /getRunId", ""));
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let (running, client) = Running::formatted(1);
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    let before = client.overview().unwrap();
    let database = running.database.clone();
    let after = {
        let mut running = running;
        drop(running.stop.take());
        running.thread.take().unwrap().join().unwrap();
        runtime().block_on(async {
            let master = Master::bind(config(database, 0)).await.unwrap();
            master.app.store.overview().await.unwrap()
        })
    };
    assert_eq!(after, before);
}

#[test]
fn a_taken_port_and_an_absent_token_are_told() {
    let running = Running::new();
    let file = running.directory.path().join("other.db");
    let other = Database::from(file.as_path());
    let bind = |config| runtime().block_on(Master::bind(config)).err().unwrap();
    let taken = bind(config(other.clone(), running.address.port())).to_string();
    let taken = taken.replace(&running.address.to_string(), "ADDRESS");
    insta::assert_snapshot!(taken, @"the Master cannot listen on ADDRESS: another program has that port: stop it (is a Master running already?), or set another `port` in [slapproxy]");
    assert!(!file.exists(), "the port comes first");
    let nobody = MasterConfig { token: Secret::new(""), ..config(other, 0) };
    assert!(matches!(bind(nobody), MasterError::NoToken));
}
