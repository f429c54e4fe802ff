use super::*;

/// Runs `body` with a log into a file and the given place; returns what the file then holds.
fn logged(format: LogFormat, level: Level, show: Show, body: impl FnOnce(&Shown)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("haul.log");
    let settings = config::Log {
        file: Some(path.clone()),
        level,
        format,
    };
    let (layer, guard) = Output::new(&settings, Some((path.clone(), open(&path).unwrap())), show);
    let shown = layer.shown.clone();
    tracing::subscriber::with_default(Registry::default().with(layer), || body(&shown));
    drop(guard);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_file_has_a_line_an_event_with_its_subject_first() {
    let text = logged(
        LogFormat::Text,
        Level::INFO,
        Show::Ring(Ring::new()),
        |_| {
            tracing::info!(
                path = "a/b c.txt",
                bytes = 12,
                how = "as is",
                file.bytes = 12,
                "sent"
            );
            tracing::debug!("too much detail");
            tracing::error!("no subject");
        },
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let (time, rest) = lines[0].split_at(24);
    assert!(time.parse::<Timestamp>().is_ok(), "{time}");
    assert_eq!(rest, " INFO a/b c.txt: sent bytes=12 how=\"as is\"");
    assert_eq!(&lines[1][24..], " ERROR no subject");
}

#[test]
fn json_is_one_object_a_line_with_the_fields_types() {
    let text = logged(
        LogFormat::Json,
        Level::INFO,
        Show::Ring(Ring::new()),
        |_| {
            tracing::warn!(
                client = "c\u{9b}\n",
                bytes = 12u64,
                ok = true,
                file.seconds = 0.5,
                "said \"no\""
            );
        },
    );
    assert_eq!(text.lines().count(), 1);
    assert!(!text.contains('\u{9b}'), "controls are escaped: {text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["level"], "WARN");
    assert_eq!(value["who"], "c\u{9b}\n");
    assert_eq!(value["message"], "said \"no\"");
    assert_eq!(
        value["fields"],
        serde_json::json!({"bytes": 12, "ok": true, "file.seconds": 0.5})
    );
    assert!(value["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
}

#[test]
fn no_remote_text_breaks_a_line() {
    let ring = Ring::new();
    let text = logged(
        LogFormat::Text,
        Level::INFO,
        Show::Ring(ring.clone()),
        |_| {
            tracing::info!(
                client = "\x1b[2J\nx",
                agent = "a\r\u{202e}b",
                "came\nin \u{9b}"
            );
        },
    );
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert!(
        !text
            .trim_end()
            .contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{text:?}"
    );
    let line = ring.since(0).remove(0);
    assert_eq!(line.who, r"\x1b[2J\x0ax");
    assert_eq!(line.text, r"came\x0ain \u{9b} agent=a\x0d\u{202e}b");
}

#[test]
fn what_is_shown_can_change_and_the_file_stays() {
    let ring = Ring::new();
    let text = logged(
        LogFormat::Text,
        Level::INFO,
        Show::Ring(ring.clone()),
        |shown| {
            tracing::debug!("one");
            shown.set(Level::DEBUG);
            assert_eq!(shown.get(), Level::DEBUG);
            tracing::debug!("two");
            shown.set(Level::ERROR);
            tracing::info!("three");
        },
    );
    let seen: Vec<String> = ring.since(0).into_iter().map(|line| line.text).collect();
    assert_eq!(seen, ["two"]);
    assert!(
        text.contains("three") && !text.contains("one") && !text.contains("two"),
        "{text}"
    );
}

#[test]
fn plain_lines_leave_out_what_was_reported() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = seen.clone();
    let show = Show::Lines(
        Level::WARN,
        Box::new(move |line: &str| sink.lock().unwrap().push(line.into())),
    );
    let text = logged(LogFormat::Text, Level::TRACE, show, |_| {
        tracing::warn!(path = "a", "retried");
        tracing::error!(target: REPORTED, path = "b", "failed");
        tracing::info!("quiet");
    });
    assert_eq!(*seen.lock().unwrap(), ["WARN a  retried"]);
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn an_unwritable_file_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let settings = config::Log {
        file: Some(dir.path().into()),
        level: Level::INFO,
        format: LogFormat::Text,
    };
    let Err(error) = Logging::start(&settings, "serve", Show::Ring(Ring::new()), None) else {
        panic!("a directory is no log file");
    };
    assert_eq!(error.exit, Exit::Disk);
    assert!(
        error
            .to_string()
            .ends_with(": is a directory: name another file with --log"),
        "{error}"
    );
}
