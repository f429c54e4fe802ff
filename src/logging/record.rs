//! One log event, and the forms in which it is written.

use std::{
    borrow::Cow,
    cell::OnceCell,
    fmt::{self, Write as _},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use super::Line;
use crate::{
    config::LogFormat,
    escape::{display_name, is_printable},
};

/// The fields that say whom an event is about, the most telling first.
const SUBJECTS: [&str; 3] = ["who", "client", "path"];

/// Bytes of a message that are written, before they are escaped. A path of the system has at most 4096.
const LONGEST: usize = 6 * 1024;

/// An event's content, not escaped yet.
pub(super) struct Record {
    time: Timestamp,
    level: Level,
    who: String,
    message: String,
    fields: Vec<(&'static str, Value)>,
    /// See [`Self::text`]; both a file and a screen have it.
    text: OnceCell<String>,
}

impl Record {
    /// `all` its fields, or without those that only programs read.
    pub(super) fn new(event: &Event<'_>, time: Timestamp, all: bool) -> Self {
        let mut seen = Fields {
            all,
            ..Fields::default()
        };
        event.record(&mut seen);
        cut(&mut seen.message);
        let who = SUBJECTS
            .iter()
            .find_map(|name| seen.others.iter().position(|(field, _)| field == name))
            .map(|at| plain(&seen.others.remove(at).1).into_owned())
            .unwrap_or_default();
        Self {
            time,
            level: *event.metadata().level(),
            who,
            message: seen.message,
            fields: seen.others,
            text: OnceCell::new(),
        }
    }

    /// An event of the log itself.
    pub(super) fn own(level: Level, message: String) -> Self {
        Self {
            time: Timestamp::now(),
            level,
            who: String::new(),
            message,
            fields: Vec::new(),
            text: OnceCell::new(),
        }
    }

    /// The line of a file, with its line end.
    pub(super) fn form(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Text => self.text_line(),
            LogFormat::Json => self.json_line(),
        }
    }

    /// The message and the fields behind it: `sent bytes=12 agent="curl 8"`.
    fn text(&self) -> &str {
        self.text.get_or_init(|| self.make_text())
    }

    fn make_text(&self) -> String {
        let mut text = one_line(&self.message);
        let fields = self.fields.iter();
        for (name, value) in fields.filter(|(name, _)| !is_for_programs(name)) {
            let value = one_line(&plain(value));
            if !text.is_empty() {
                text.push(' ');
            }
            // Writing to a String cannot fail.
            let _ = if value.is_empty() || value.contains([' ', '"', '=']) {
                write!(text, "{name}=\"{}\"", value.replace('"', "\\\""))
            } else {
                write!(text, "{name}={value}")
            };
        }
        text
    }

    /// The text file's form: `2026-11-22T14:02:03.123Z INFO who: text key=value` and a newline.
    pub(super) fn text_line(&self) -> String {
        let Self { time, level, .. } = self;
        let who = one_line(&self.who);
        let colon = if who.is_empty() { "" } else { ": " };
        format!("{time:.3} {level} {who}{colon}{}\n", self.text())
    }

    /// The JSON file's form: an object with time, level, who, message and fields, and a newline.
    pub(super) fn json_line(&self) -> String {
        let fields: Map<String, Value> = self
            .fields
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect();
        let object = json!({
            // Programs reckon with it: a small file takes less than a millisecond.
            "time": format!("{:.6}", self.time),
            "level": self.level.as_str(),
            "who": self.who,
            "message": self.message,
            "fields": fields,
        });
        json_escaped(&object.to_string()) + "\n"
    }

    /// The form for stderr, without a newline: `INFO who  text`.
    pub(super) fn plain_line(&self) -> String {
        let who = one_line(&self.who);
        let gap = if who.is_empty() { "" } else { "  " };
        format!("{} {who}{gap}{}", self.level, self.text())
    }

    /// The form for the ring.
    pub(super) fn line(&self) -> Line {
        Line {
            seq: 0,
            time: self.time,
            level: self.level,
            who: one_line(&self.who),
            text: self.text().to_owned(),
        }
    }
}

/// Shortens what somebody made long: a line costs time and room.
fn cut(text: &mut String) {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rfind(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
}

fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Makes visible what would act on a terminal or break a line. Backslashes stay as they are: the engine may have
/// escaped a name already, and a line need not be read back.
pub fn one_line(text: &str) -> String {
    if is_printable(text.as_bytes()) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        shown.push_str(&display_name(c.encode_utf8(&mut [0; 4])));
    }
    shown
}

/// Writes what would act on a terminal as JSON's own `\u` escapes, so that a reader gets the text unchanged.
/// Such characters stand in strings only; `serde_json` has escaped the ASCII controls but DEL.
pub fn json_escaped(object: &str) -> String {
    if is_printable(object.as_bytes()) {
        return object.to_owned();
    }
    let mut shown = String::with_capacity(object.len());
    for c in object.chars() {
        if c != '\\'
            && c != ' '
            && matches!(display_name(c.encode_utf8(&mut [0; 4])), Cow::Owned(_))
        {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a field repeats for programs what the message says for people, as those with a dot in their names do: only JSON
/// has it.
fn is_for_programs(field: &str) -> bool {
    field.contains('.')
}

/// Collects an event's fields with their types.
#[derive(Default)]
struct Fields {
    /// Also those that only programs read.
    all: bool,
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        if !self.all && is_for_programs(field.name()) {
            return;
        }
        let value = value();
        if field.name() == "message" {
            self.message = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
        } else {
            self.others.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, || format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, || value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, || value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, || value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, || value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, || value.into());
    }
}
