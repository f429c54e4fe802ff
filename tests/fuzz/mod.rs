//! Parsers of outside bytes, fed with real answers and with what seeded changes make of them: docs/RELIABILITY.md. Those
//! that the library keeps to itself are in src/client/fuzz.rs and src/control/protocol.rs.

mod mutate;

use haul::{
    client::metalink::Metalink,
    config::ini,
    credentials::netrc,
    dashboard::terminal::decode::Decoder,
    escape, eval,
    http1::{
        body_reader::{BodyReader, Framing, Step},
        conditional::{Conditions, Validators},
        date,
        path::RemotePath,
        range::Ranges,
        request::{RequestHead, find_head},
        response_head::ResponseHead,
    },
    pieces::{PREAMBLE_LEN, Preamble},
    sums,
};
use mutate::{fuzz, fuzz_slow};

#[test]
fn request_heads() {
    fuzz("request", |input| {
        let (mut scanned, mut parts) = (0, 0);
        // Whole, and as it would come byte by byte: both find the same end.
        let whole = find_head(input, &mut 0);
        let mut grown = Ok(None);
        for end in 0..=input.len().min(2000) {
            grown = find_head(&input[..end], &mut scanned);
            if !matches!(grown, Ok(None)) {
                break;
            }
            parts += 1;
        }
        if let (Ok(Some(whole)), Ok(Some(grown))) = (&whole, &grown) {
            assert_eq!(
                (whole.start, whole.end),
                (grown.start, grown.end),
                "after {parts} bytes"
            );
        }
        if let Ok(Some(extent)) = whole
            && let Ok(head) = RequestHead::parse(&input[extent.start..extent.end])
        {
            assert!(!head.path.contains(&b'\r') && !head.path.contains(&0));
            head.is_from_another_site();
        }
    });
}

#[test]
fn response_heads() {
    fuzz("response", |input| {
        for to_head in [false, true] {
            if let Ok(Some((_, length))) = ResponseHead::parse(input, to_head) {
                assert!(length <= input.len());
            }
        }
    });
}

/// The body, in steps that see at most so many bytes at once; `None` where it is refused or not complete.
fn body(input: &[u8], window: usize) -> Option<Vec<u8>> {
    let (mut reader, mut body, mut at, mut seen) =
        (BodyReader::new(Framing::Chunked), Vec::new(), 0, window);
    loop {
        let end = seen.min(input.len());
        match reader.step(&input[at..end]).ok()? {
            Step::Data { skip, len } => {
                assert!(len > 0 && at + skip + len <= end);
                body.extend_from_slice(&input[at + skip..at + skip + len]);
                at += skip + len;
            }
            Step::More { skip } => {
                at += skip;
                if end == input.len() {
                    return None;
                }
                seen = end + window;
            }
            Step::End { .. } => return Some(body),
        }
    }
}

#[test]
fn chunked_bodies_are_the_same_however_they_come() {
    fuzz("chunked", |input| {
        let whole = body(input, input.len().max(1));
        for window in [1, 7] {
            if let (Some(whole), Some(parts)) = (&whole, &body(input, window)) {
                assert_eq!(whole, parts);
            }
        }
    });
}

#[test]
fn ranges_lie_in_the_file() {
    fuzz("range", |input| {
        for size in [0, 1, 1000, u64::MAX] {
            let parts = match Ranges::parse(input, size) {
                Ranges::Single(part) => vec![part],
                Ranges::Several(parts) => parts,
                Ranges::Whole | Ranges::Unsatisfiable => continue,
            };
            assert!(
                parts
                    .iter()
                    .all(|part| part.start < part.end && part.end <= size)
            );
        }
    });
}

#[test]
fn preconditions() {
    fuzz("conditions", |input| {
        if let Some(seconds) = date::parse(input) {
            assert_eq!(
                date::parse(date::format(seconds).to_string().as_bytes()),
                Some(seconds)
            );
        }
        let conditions = Conditions {
            if_match: vec![input],
            if_none_match: vec![input, b"\"a\""],
            if_modified_since: Some(input),
            if_unmodified_since: Some(input),
            if_range: Some(input),
        };
        let file = Validators {
            etag: "\"a\"",
            modified: 5,
            now: 9,
        };
        conditions.evaluate(Some(&file));
        conditions.evaluate(None);
        conditions.range_counts(&file);
    });
}

#[test]
fn paths_stay_below_the_root_and_come_back() {
    fuzz("path", |input| {
        if let Ok(path) = RemotePath::from_target(input) {
            assert!(path.names().all(|name| !matches!(name, b"" | b"." | b"..")));
            assert!(
                path.names()
                    .all(|name| !name.contains(&b'/') && !name.contains(&0))
            );
            assert_eq!(
                RemotePath::from_target(path.to_target().as_bytes()).unwrap(),
                path
            );
        }
    });
}

#[test]
fn metalinks() {
    fuzz("metalink", |input| {
        // Names are checked where they are used, as those of listings are; here, only that nothing gives way.
        let _ = Metalink::parse(&String::from_utf8_lossy(input));
    });
}

#[test]
fn lists_of_values_begin_with_their_size() {
    fuzz("pieces", |input| {
        let Some(body) = input.first_chunk::<PREAMBLE_LEN>() else {
            return;
        };
        if let Ok(preamble) = Preamble::decode(body) {
            assert_eq!(preamble.encode(), *body);
        }
    });
}

#[test]
fn sums_stay_beside_their_list() {
    fuzz("sums", |input| {
        for line in sums::lines(input, None).0 {
            if let Some(mut parts) = sums::beside(&line.name) {
                assert!(
                    parts.all(|part| part != b".." && !part.contains(&b'/') && !part.contains(&0))
                );
            }
        }
    });
}

#[test]
fn settings_and_logins_in_files() {
    fuzz("ini", |input| {
        if let Err(error) = ini::parse("x.ini", &String::from_utf8_lossy(input)) {
            assert!(error.to_string().contains("x.ini"));
        }
    });
    fuzz("netrc", |input| {
        let _ = netrc::read(&String::from_utf8_lossy(input));
    });
}

#[test]
fn keys_and_answers_of_terminals_come_out_the_same_in_parts() {
    fuzz("terminal", |input| {
        let read = |parts: &mut dyn Iterator<Item = &[u8]>| {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            for part in parts {
                decoder.feed(part, &mut out);
            }
            decoder.silence(&mut out);
            format!("{out:?}")
        };
        assert_eq!(read(&mut [input].into_iter()), read(&mut input.chunks(1)));
    });
}

#[test]
fn nothing_that_is_shown_moves_the_cursor() {
    fuzz("escape", |input| {
        let shown = escape::display_name(input);
        assert!(!shown.chars().any(char::is_control));
        // Nor does it turn text around, or hide (UAX #9).
        let turns = |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!shown.contains(turns));
    });
}

#[test]
fn logs_that_plot_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client0-1c128f.log");
    fuzz_slow("logs", |input| {
        std::fs::write(&path, input).unwrap();
        for section in eval::logs::read(&path).unwrap_or_default() {
            for line in &section.lines {
                line.release();
            }
        }
        let _ = eval::logs::read_behind(&path, 3);
    });
}
