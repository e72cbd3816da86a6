//! Listening to everything.

use super::*;

/// A listener to everything, as a browser is one.
pub(super) struct Ear {
    stream: std::io::BufReader<TcpStream>,
    pub(super) position: String,
}

impl Ear {
    pub(super) fn new(running: &Running, since: &str) -> Ear {
        let mut stream = TcpStream::connect(running.address).unwrap();
        write!(
            stream,
            "GET /api/v1/events HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer the token\r\n\
             Last-Event-ID: {since}\r\n\r\n"
        )
        .unwrap();
        Ear { stream: std::io::BufReader::new(stream), position: String::new() }
    }

    /// The name and the data of the next event.
    pub(super) fn hear(&mut self) -> (String, String) {
        let (mut name, mut data) = (String::new(), None);
        loop {
            let mut line = String::new();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "it ended");
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("id", value)) => value.clone_into(&mut self.position),
                Some(("data", value)) => data = Some(value.to_owned()),
                // The end of an event.
                None if line == "\n" && !name.is_empty() => {
                    return (name, data.unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    pub(super) fn change(&mut self) -> String {
        let (name, data) = self.hear();
        assert_eq!(name, "change");
        data
    }
}

use std::io::BufRead as _;

#[test]
fn who_listens_to_everything_hears_of_all_computers_in_order() {
    let (running, client) = Running::formatted(1);
    let mut ear = Ear::new(&running, "");
    assert_eq!(ear.hear().0, "resync");
    let mut other = description(1);
    other.reference = "other".into();
    client.load_computer_configuration(&other).unwrap();
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    insta::assert_snapshot!(ear.change(), @r#"{"kind":"format","computer":"other"}"#);
    insta::assert_snapshot!(ear.change(), @r#"{"kind":"request","computer":"computer","partition":"slappart0","state":"started","tree":"a"}"#);
    // Away for a while, and back.
    let position = ear.position.clone();
    drop(ear);
    client.computer_bang(&home(), "").unwrap();
    client.supply(&"s".into(), &"other".into(), SoftwareState::Available).unwrap();
    let mut ear = Ear::new(&running, &position);
    insta::assert_snapshot!(ear.change(), @r#"{"kind":"bang","computer":"computer"}"#);
    insta::assert_snapshot!(ear.change(), @r#"{"kind":"supply","computer":"other","software":"s","state":"available"}"#);
    let mut strange = Ear::new(&running, "0123-4.5");
    assert_eq!(strange.hear().0, "resync");
}

#[test]
fn a_slow_reader_loses_nothing() {
    let (running, client) = Running::formatted(1);
    let mut ear = Ear::new(&running, "");
    assert_eq!(ear.hear().0, "resync");
    for number in 0..700 {
        client
            .supply(&format!("s{number}").as_str().into(), &home(), SoftwareState::Available)
            .unwrap();
    }
    for number in 0..700 {
        let heard = ear.change();
        assert!(heard.contains(&format!("\"software\":\"s{number}\"")), "{number}: {heard}");
    }
}

#[test]
fn what_a_root_publishes_is_told_and_wakes_no_node() {
    let (running, client) = Running::formatted(1);
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    let mut ear = Ear::new(&running, "");
    assert_eq!(ear.hear().0, "resync");
    let url = [("url".to_owned(), "http://a/".to_owned())].into();
    client.set_connection(&home(), &"slappart0".into(), &url).unwrap();
    // What came before may be told once more: on a server others' transactions may still run.
    let change = std::iter::repeat_with(|| ear.change()).find(|one| !one.contains("request"));
    insta::assert_snapshot!(change.unwrap(), @r#"{"kind":"connection","computer":"computer","partition":"slappart0","tree":"a"}"#);
}
