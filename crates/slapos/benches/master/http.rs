//! The client's half of HTTP/1.1, with as little work of its own as can be: what is measured is the
//! Master, on the same processors.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// `GET path`, with the query in it.
    pub(crate) fn get(path: &str, token: &str) -> Request {
        Request(format!("GET {path} HTTP/1.1\r\n{}\r\n", headers(token)).into_bytes())
    }

    /// A POST of a form.
    pub(crate) fn post(path: &str, token: &str, fields: &[(&str, String)]) -> Request {
        let body = form(fields);
        let head = headers(token);
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let length = body.len();
        let text = format!(
            "POST {path} HTTP/1.1\r\n{head}{kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Request(text.into_bytes())
    }

    /// A question with a JSON body.
    pub(crate) fn json(method: &str, path: &str, token: &str, body: &Value) -> Request {
        let (head, body) = (headers(token), body.to_string());
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\n{head}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        Request(text.into_bytes())
    }
}

fn headers(token: &str) -> String {
    match token {
        "" => "Host: master\r\n".to_owned(),
        token => format!("Host: master\r\nAuthorization: Bearer {token}\r\n"),
    }
}

fn form(fields: &[(&str, String)]) -> String {
    let pair = |(name, value): &(&str, String)| format!("{name}={}", encode(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// A text as a value of a form or a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A connection that is made again when the other side ends it after each answer, as the original
/// does.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr) -> Connection {
        Connection { address, stream: None, buffer: Vec::with_capacity(16 << 10) }
    }

    /// Sends a request and reads the whole answer; gives its body.
    ///
    /// # Errors
    /// When the connection fails, or the answer is no success.
    pub(crate) async fn exchange(&mut self, request: &Request) -> io::Result<&[u8]> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address).await?,
        };
        stream.write_all(&request.0).await?;
        self.buffer.clear();
        let head = read_head(&mut stream, &mut self.buffer).await?;
        match head.length {
            Some(length) => {
                let whole = head.end + length;
                while self.buffer.len() < whole {
                    read(&mut stream, &mut self.buffer).await?;
                }
            }
            None => {
                stream.read_to_end(&mut self.buffer).await?;
            }
        }
        if !head.closes {
            self.stream = Some(stream);
        }
        let body = &self.buffer[head.end..];
        match head.status {
            200..300 => Ok(body),
            status => {
                let said = String::from_utf8_lossy(body);
                Err(io::Error::other(format!("{status}: {said}")))
            }
        }
    }
}

/// A connection without delay for small messages.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection on which an answer without end begins.
pub(crate) async fn listen<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &Request,
) -> io::Result<S> {
    stream.write_all(&request.0).await?;
    stream.flush().await?;
    let head = read_head(&mut stream, &mut Vec::new()).await?;
    match head.status {
        200 => Ok(stream),
        status => Err(io::Error::other(format!("the status is {status}"))),
    }
}

struct Head {
    status: u16,
    /// Where the body begins.
    end: usize,
    length: Option<usize>,
    closes: bool,
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<Head> {
    loop {
        read(stream, buffer).await?;
        let found = buffer.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = found {
            return parse_head(&buffer[..end], end + 4);
        }
    }
}

fn parse_head(head: &[u8], end: usize) -> io::Result<Head> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {first}")))?;
    // An answer without content does not say how long it is.
    let mut length = (status == 204).then_some(0);
    let mut closes = first.starts_with("http/1.0");
    for line in lines {
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok(),
            Some(("connection", "close")) => closes = true,
            _ => {}
        }
    }
    Ok(Head { status, end, length, closes })
}
