//! HTTP by hand, so that a test sees every byte.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use super::serving::PATIENCE;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field that stands at most once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} stands twice");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One connection.
pub struct Raw {
    stream: BufReader<TcpStream>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// A connection from one of loopback's addresses.
    pub fn connect_from(host: [u8; 4], address: SocketAddr) -> Self {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((host, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// The status of the answer that is there, if one is; it stays to be read.
    pub fn peek_status(&self) -> Option<u16> {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).unwrap();
        let mut line = [0; 12];
        let there = stream.peek(&mut line);
        stream.set_nonblocking(false).unwrap();
        let line = std::str::from_utf8(&line[..there.ok()?]).ok()?;
        line.strip_prefix("HTTP/1.1 ")?.parse().ok()
    }

    /// Reads one answer to a GET.
    pub fn read(&mut self) -> Answer {
        self.read_answer(true)
    }

    /// Reads one answer to a HEAD, or what else has no body whatever its fields say.
    pub fn read_head(&mut self) -> Answer {
        self.read_answer(false)
    }

    fn read_answer(&mut self, with_body: bool) -> Answer {
        let line = self.line();
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a field");
            fields.push((name.to_owned(), value.to_owned()));
        }
        let mut answer = Answer {
            status,
            fields,
            body: Vec::new(),
        };
        if with_body && !matches!(status, 204 | 304) {
            answer.body = self.body(&answer);
        }
        answer
    }

    fn body(&mut self, answer: &Answer) -> Vec<u8> {
        let mut body = Vec::new();
        if answer.field("Transfer-Encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).expect("a chunk's size");
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..]).unwrap();
                assert_eq!(self.line(), "");
                if size == 0 {
                    return body;
                }
            }
        }
        match answer.field("Content-Length") {
            Some(length) => {
                body.resize(length.parse().unwrap(), 0);
                self.stream.read_exact(&mut body).unwrap();
            }
            None => {
                self.stream.read_to_end(&mut body).unwrap();
            }
        }
        body
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n")
            .unwrap_or_else(|| panic!("no whole line: {line:?}"))
            .to_owned()
    }

    /// Reads so many bytes of a body whose head was read.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Counts up to `count` bytes that come: fewer where the connection ends before, however it ends.
    pub fn count(&mut self, count: u64) -> u64 {
        let (mut chunk, mut got) = ([0; 65536], 0);
        while got < count {
            let most = chunk.len().min((count - got) as usize);
            match self.stream.read(&mut chunk[..most]) {
                Ok(0) => break,
                Ok(read) => got += read as u64,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error} after {got} bytes"),
            }
        }
        got
    }

    /// Reads what comes until the connection ends, however it ends.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut chunk = [0; 65536];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return rest,
                Ok(read) => rest.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return rest,
                Err(error) => panic!("the connection does not end: {error}"),
            }
        }
    }
}

/// A GET of `target` with further fields (each ended by CR LF).
pub fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: haul\r\n{fields}\r\n")
}

/// One request on a connection of its own.
pub fn fetch(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut raw = Raw::connect(address);
    raw.send(request);
    raw.read()
}
