//! A server of a few texts, by plain HTTP on loopback, for as long as the test runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

/// Answers with the text whose name ends the address that is asked for, and else with 404; the port.
///
/// # Panics
/// When there is no port.
pub fn serve_texts(texts: &'static [(&'static str, &'static str)]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Who goes away misses it.
            let _ = answer(stream, texts);
        }
    });
    port
}

fn answer(mut stream: TcpStream, texts: &[(&str, &str)]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let found = texts.iter().find(|(name, _)| path.ends_with(name));
    let (status, text) = found.map_or(("404 Not Found", ""), |(_, text)| ("200 OK", text));
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}
