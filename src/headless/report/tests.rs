//! What is told, in each style.

use std::sync::{Arc, Mutex};

use super::*;
use crate::client::{ItemId, ItemState, ItemView};

/// A writer whose bytes can be read after it was given away.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn path(target: &str) -> RemotePath {
    RemotePath::from_target(target.as_bytes()).unwrap()
}

fn finished(target: &str, bytes: u64, verified: Verified) -> Event {
    Event::Finished {
        item: ItemId(1),
        path: path(target),
        local: "x".into(),
        copy: None,
        bytes,
        kept: 0,
        verified,
        took: Duration::from_millis(2),
    }
}

#[test]
fn json_has_an_object_a_line_for_each_turning_point() {
    let (out, began) = (Shared::default(), Instant::now());
    let mut report = Report::new(Style::Json, Box::new(out.clone()), began);
    let started = Event::Started {
        item: ItemId(1),
        path: path("/a%0A%C2%9B.txt"),
        total: Some(2048),
    };
    report.event(&started).unwrap();
    let snapshot = Snapshot {
        received: 512,
        items: vec![ItemView {
            id: ItemId(1),
            path: path("/"),
            label: None,
            files: None,
            done: 512,
            total: Some(2048),
            connections: 1,
            state: ItemState::Active,
            limit: None,
            first: false,
            led: None,
            under_way: Vec::new(),
        }],
        ..Snapshot::default()
    };
    report.progress(&snapshot, began).unwrap();
    let done = finished("/a", 2048, Verified::Blake3);
    report.event(&done).unwrap();
    report
        .event(&finished("/b", 5, Verified::Unverified))
        .unwrap();
    report.lost("cannot connect").unwrap();
    report
        .end(began + Duration::from_secs(2), 1, Ended::Whole)
        .unwrap();
    let text = out.text();
    assert!(!text.contains('\u{9b}'), "{text}");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = serde_json::json!([
        {"event": "started", "path": "a\n\u{9b}.txt", "total": 2048},
        {"event": "progress", "bytes": 512, "total": 2048, "rate": 0},
        {"event": "finished", "path": "a", "bytes": 2048, "total": 2048, "verified": "blake3"},
        {"event": "finished", "path": "b", "bytes": 5, "total": 5, "verified": "unverified"},
        {"event": "failed", "error": "cannot connect"},
        {"event": "summary", "bytes": 2053, "rate": 1027, "files": 2, "failed": 1, "unverified": 1, "seconds": 2.0},
    ]);
    assert_eq!(serde_json::Value::from(lines), expected);
}

#[test]
fn what_was_here_already_is_no_download() {
    let (out, began) = (Shared::default(), Instant::now());
    let mut report = Report::new(Style::Lines, Box::new(out.clone()), began);
    report
        .event(&finished("/a", 2048, Verified::Present))
        .unwrap();
    report
        .end(began + Duration::from_secs(1), 0, Ended::Whole)
        .unwrap();
    assert_eq!(
        out.text(),
        "1 file, 0 B in 1.0 s, 1 here already, all verified\n"
    );
}

#[test]
fn the_name_of_a_copy_is_told_to_people_and_programs() {
    let began = Instant::now();
    let mut copied = finished("/d/a.txt", 2, Verified::Blake3);
    if let Event::Finished { copy, .. } = &mut copied {
        *copy = Some(path("/d/a%20(1).txt"));
    }
    let told = |style| {
        let out = Shared::default();
        let mut report = Report::new(style, Box::new(out.clone()), began);
        report.event(&copied).unwrap();
        out.text()
    };
    assert_eq!(told(Style::Lines), "d/a.txt -> d/a (1).txt\n");
    let json: serde_json::Value = serde_json::from_str(&told(Style::Json)).unwrap();
    assert_eq!(
        (&json["path"], &json["local"]),
        (&"d/a.txt".into(), &"d/a (1).txt".into())
    );
}
