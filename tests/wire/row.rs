//! One row of the table, and the few words that rows are written in.

use std::time::Duration;

use super::answer::Answer;
pub use crate::common::raw::get;

/// A rule, the bytes that put it to the test, and what must come back.
pub struct Row {
    /// `9110` or `9112`, and the section that the rule stands in.
    pub section: &'static str,
    /// The rule. Where the RFC leaves a choice, it says what haul chose.
    pub name: String,
    pub sent: Sent,
    pub outcome: Outcome,
}

/// A row. In what is sent, `{etag}` stands for the entity tag of `/hello.txt` and `{now}` for the date; in fields that
/// are expected, `{etag}` does too.
pub fn row(
    section: &'static str,
    name: impl Into<String>,
    sent: impl Into<Sent>,
    outcome: Outcome,
) -> Row {
    let (name, sent) = (name.into(), sent.into());
    Row {
        section,
        name,
        sent,
        outcome,
    }
}

/// What a client sends.
#[derive(Clone)]
pub struct Sent {
    /// Each is a write of its own, after a pause.
    pub writes: Vec<(Duration, Vec<u8>)>,
    /// Whether each byte is a write of its own.
    pub byte_by_byte: bool,
    /// Whether the client closes its sending side behind them.
    pub half_closes: bool,
}

impl<B: AsRef<[u8]>> From<B> for Sent {
    fn from(bytes: B) -> Self {
        Self {
            writes: vec![(Duration::ZERO, bytes.as_ref().to_vec())],
            byte_by_byte: false,
            half_closes: false,
        }
    }
}

/// Several writes, each as long after the one before as it says.
pub fn slowly<const N: usize>(writes: [(Duration, &[u8]); N]) -> Sent {
    Sent {
        writes: writes.map(|(pause, bytes)| (pause, bytes.to_vec())).into(),
        byte_by_byte: false,
        half_closes: false,
    }
}

/// A write for each byte.
pub fn byte_by_byte(bytes: impl AsRef<[u8]>) -> Sent {
    Sent {
        byte_by_byte: true,
        ..bytes.into()
    }
}

/// Sends no more after this, but still reads.
pub fn half_close(bytes: impl AsRef<[u8]>) -> Sent {
    Sent {
        half_closes: true,
        ..bytes.into()
    }
}

/// What must come back, and what becomes of the connection.
pub struct Outcome {
    pub answers: Vec<Expected>,
    pub then: Then,
    /// What must hold for all answers together.
    pub together: Option<Together>,
}

/// A rule about all answers of a row.
pub type Together = fn(&[Answer]) -> Result<(), String>;

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It goes on: a further request gets its answer, and nothing else comes.
    Open,
    /// It ends behind the last answer, which says so.
    Closed,
    /// It ends and no answer said so: the client closed it, sent half a request, or was silent for too long.
    Gone,
}

impl Outcome {
    fn new(answers: impl IntoIterator<Item = Expected>, then: Then) -> Self {
        Self {
            answers: answers.into_iter().collect(),
            then,
            together: None,
        }
    }

    pub fn and(mut self, together: Together) -> Self {
        self.together = Some(together);
        self
    }
}

/// These answers, and the connection goes on.
pub fn stays(answers: impl IntoIterator<Item = Expected>) -> Outcome {
    Outcome::new(answers, Then::Open)
}

/// These answers, the last of which says that the connection ends, and then its end.
pub fn ends(answers: impl IntoIterator<Item = Expected>) -> Outcome {
    Outcome::new(answers, Then::Closed)
}

/// These answers, and then the connection's end without a word about it.
pub fn gone(answers: impl IntoIterator<Item = Expected>) -> Outcome {
    Outcome::new(answers, Then::Gone)
}

/// One answer that must come.
#[derive(Clone)]
pub struct Expected {
    pub status: u16,
    pub to_head: bool,
    pub fields: Vec<(&'static str, Value)>,
    pub body: Body,
}

/// What a field must be.
#[derive(Clone)]
pub enum Value {
    Is(String),
    Absent,
    Check(fn(&str) -> bool),
}

/// What a body must be.
#[derive(Clone)]
pub enum Body {
    Any,
    Is(Vec<u8>),
    Has(&'static str),
    /// `multipart/byteranges` of exactly these parts of the file, first and last byte each.
    Parts(&'static [(usize, usize)], Vec<u8>),
}

/// An answer of that status, whatever its body.
pub fn status(status: u16) -> Expected {
    Expected {
        status,
        to_head: false,
        fields: Vec::new(),
        body: Body::Any,
    }
}

/// 200 with exactly that body.
pub fn ok(body: impl AsRef<[u8]>) -> Expected {
    status(200).body(body)
}

/// 400: the request is refused as malformed.
pub fn bad() -> Expected {
    status(400)
}

impl Expected {
    /// The request was HEAD: no body follows, whatever the fields say.
    pub fn for_head(mut self) -> Self {
        self.to_head = true;
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Body::Is(body.as_ref().to_vec());
        self
    }

    pub fn has(mut self, text: &'static str) -> Self {
        self.body = Body::Has(text);
        self
    }

    pub fn parts(mut self, parts: &'static [(usize, usize)], file: &[u8]) -> Self {
        self.body = Body::Parts(parts, file.to_vec());
        self
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, Value::Is(value.into())));
        self
    }

    pub fn without(mut self, name: &'static str) -> Self {
        self.fields.push((name, Value::Absent));
        self
    }

    pub fn checked(mut self, name: &'static str, check: fn(&str) -> bool) -> Self {
        self.fields.push((name, Value::Check(check)));
        self
    }
}

/// A request of any method, with further fields (each ended by CR LF).
pub fn ask(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: haul\r\n{fields}\r\n")
}

pub fn head(target: &str, fields: &str) -> String {
    ask("HEAD", target, fields)
}
