//! The same requests by the original recipes, to a Master that only listens, and by ours: what is
//! asked and what becomes of the answer is the same.
//!
//! All are for shared instances: of others the original sets a guid that is no text, which
//! zc.buildout refuses.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use indexmap::IndexMap;
use slapos_slap::convert::{answer_to_value, request_from_form};
use slapos_slap::marshal::dumps;
use slapos_slap::{
    ComputerPartition, InstanceAnswer, InstanceRequest, InstanceState, PartitionPort, PortError,
    RequestError,
};

use super::*;

const NAME: &str = "requests_are_those_of_the_originals";
const PROFILE: &str = include_str!("request.cfg");

fn answer(request: &InstanceRequest) -> InstanceAnswer {
    let url = format!("http://{}.é/?a=<&>", request.title.as_str().to_lowercase());
    let text = format!(r#"{{"url": "{url}"}}"#);
    let connection = [("url".to_owned(), url), ("_".to_owned(), text)].into();
    InstanceAnswer { connection, ..InstanceAnswer::to(request, "COMP-1", "slappart1") }
}

type Heard = Arc<Mutex<Vec<InstanceRequest>>>;

/// A Master that says yes to all requests and knows nothing else. It ends with the test's process.
fn listen() -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let heard = Heard::default();
    let remembered = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap(), &remembered);
        }
    });
    (url, heard)
}

fn serve(stream: TcpStream, heard: &Heard) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap() == 0 || header.trim().is_empty() {
            break;
        }
        let header = header.to_ascii_lowercase();
        if let Some(number) = header.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, text) = match line.contains(" /requestComputerPartition ") {
        false => ("404 Not Found", "unknown".to_owned()),
        true => {
            let form: IndexMap<_, _> = url::form_urlencoded::parse(&body).into_owned().collect();
            let field = |name: &str| form.get(name).map(String::as_str).filter(|t| !t.is_empty());
            let request = request_from_form(field).unwrap();
            let text = dumps(&answer_to_value(&answer(&request)).unwrap()).unwrap();
            heard.lock().unwrap().push(request);
            ("200 OK", text)
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}", text.len());
    write!(reader.get_mut(), "{head}\r\n\r\n{text}").unwrap();
}

/// The same Master at the other side of our door.
struct Door(ComputerPartition, Heard);

impl PartitionPort for Door {
    fn partition(&self) -> &ComputerPartition {
        &self.0
    }

    fn publish(&self, _: &IndexMap<String, String>) -> Result<(), PortError> {
        Err(PortError("nothing is published here".to_owned()))
    }

    fn publish_shared(&self, _: &str, _: &IndexMap<String, String>) -> Result<(), PortError> {
        Err(PortError("nothing is published here".to_owned()))
    }

    fn request(&self, request: &InstanceRequest) -> Result<Option<InstanceAnswer>, RequestError> {
        let requester = Some((self.0.computer.clone(), self.0.id.clone()));
        self.1.lock().unwrap().push(InstanceRequest { requester, ..request.clone() });
        Ok(Some(answer(request)))
    }
}

fn ours(directory: &Path, profile: &str) -> Vec<InstanceRequest> {
    let mut config = FetcherConfig::new(directory.with_extension("cache"));
    config.offline = true;
    let fetcher = Arc::new(Fetcher::new(config));
    let name = directory.join("peer.cfg").display().to_string();
    let base = Location::from_path(directory).unwrap();
    let files = ProfileFiles::new(&fetcher);
    let profile = Profile::load_text(&name, profile, &base, &files, &[]).unwrap();
    let mut partition = ComputerPartition::free("COMP-1".into(), "slappart0".into());
    partition.requested_state = InstanceState::Started;
    let heard = Heard::default();
    let slap: Option<Arc<dyn PartitionPort>> = Some(Arc::new(Door(partition, heard.clone())));
    let recipes = Arc::new(registry(Ports { fetcher, slap, python: None }));
    let mut buildout = Buildout::new(profile, recipes, Settings::new(directory));
    let plan = buildout.plan().unwrap();
    buildout.execute(&plan, &NoObserver).unwrap();
    in_order(&heard)
}

/// By title; JSON among the parameters without its blanks and its order.
fn in_order(heard: &Heard) -> Vec<InstanceRequest> {
    let mut requests = heard.lock().unwrap().clone();
    requests.sort_by(|a, b| a.title.cmp(&b.title));
    for text in requests.iter_mut().filter_map(|request| request.parameters.get_mut("_")) {
        let json: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).unwrap();
        *text = serde_json::to_string(&json).unwrap();
    }
    requests
}

#[test]
fn requests_are_those_of_the_originals() {
    let buildout = match original() {
        Ok(buildout) => buildout,
        Err(why) => return skipped(NAME, &why),
    };
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let (theirs, own) = (root.join("peer"), root.join("ours"));
    std::fs::create_dir(&theirs).unwrap();
    std::fs::create_dir(&own).unwrap();
    let (master, heard) = listen();
    let profile = PROFILE.replace("MASTER", &master);
    deploy_original(&buildout, &theirs, &profile);
    let our_requests = ours(&own, &profile);
    assert_eq!(our_requests.len(), 3);
    assert_eq!(in_order(&heard), our_requests);
    let values = |directory: &Path| std::fs::read_to_string(directory.join("values")).unwrap();
    assert!(values(&own).contains("http://plain.é/?a=<&>"), "{}", values(&own));
    assert_eq!(values(&theirs), values(&own));
}
