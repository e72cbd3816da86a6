//! The node's own Master, as its operator reaches it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::TestNode;

impl TestNode {
    /// The address of its Master, without a slash at the end.
    ///
    /// # Panics
    /// When there is no configuration.
    pub fn master_url(&self) -> String {
        let path = self.root().join("etc/slapos.cfg");
        let config = std::fs::read_to_string(path).expect("the node has a configuration");
        let url = config.lines().find_map(|line| line.strip_prefix("master_url = "));
        url.expect("it names the Master").trim().trim_end_matches('/').to_owned()
    }

    /// The operator's token.
    ///
    /// # Panics
    /// When there is none yet.
    pub fn token(&self) -> String {
        let path = self.root().join("master/master.token");
        std::fs::read_to_string(path).expect("the Master has a token").trim().to_owned()
    }

    /// Status and body of what the Master answers its operator, who sends nothing but the question.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let url = self.master_url();
        let address = url.strip_prefix("http://").expect("it is reached by plain HTTP");
        let mut stream = TcpStream::connect(address).expect("the Master listens");
        let token = self.token();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the Master reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the Master answers in text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("it is HTTP");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("it has a status"), body.to_owned())
    }
}
