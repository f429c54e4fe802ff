use super::*;

fn entries(json: &str, step: usize) -> Result<Vec<Entry>, Error> {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    for part in json.as_bytes().chunks(step) {
        splitter.feed(part, &mut |element| {
            found.extend(entry(element)?);
            Ok(())
        })?;
    }
    splitter.finish()?;
    Ok(found)
}

fn shown(json: &str) -> Vec<(String, bool, Option<u64>, Option<u64>)> {
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let each = |entry: Entry| {
        (
            String::from_utf8(entry.name).unwrap(),
            entry.is_dir,
            entry.size,
            entry.modified.map(seconds),
        )
    };
    let whole = entries(json, 1 << 20).unwrap();
    for step in 1..40 {
        assert_eq!(entries(json, step).unwrap(), whole);
    }
    whole.into_iter().map(each).collect()
}

#[test]
fn caddy_and_haul() {
    let json = r#"[{"name":"photos/","size":4096,"url":"./photos/","mod_time":"1970-01-01T00:00:09.5Z","mode":2147484141,"is_dir":true,"is_symlink":false},
        {"name":"a\"}[ ?.txt","size":7,"url":"./a%22%7D%5B%20%3F.txt","mod_time":"1970-01-01T00:00:10Z","mode":420,"is_dir":false,"is_symlink":false}]"#;
    assert_eq!(
        shown(json),
        [
            ("photos".into(), true, None, Some(9)),
            ("a\"}[ ?.txt".into(), false, Some(7), Some(10))
        ]
    );
    assert_eq!(shown("[]"), []);
}

#[test]
fn nginx_and_dufs() {
    let nginx = r#"[ { "name":"d", "type":"directory", "mtime":"Thu, 01 Jan 1970 00:00:03 GMT" },
        { "name":"f", "type":"file", "mtime":"Thu, 01 Jan 1970 00:00:04 GMT", "size":5 },
        { "name":"fifo", "type":"other", "mtime":"Thu, 01 Jan 1970 00:00:04 GMT" } ]"#;
    assert_eq!(
        shown(nginx),
        [
            ("d".into(), true, None, Some(3)),
            ("f".into(), false, Some(5), Some(4))
        ]
    );
    let dufs = r#"{"href":"/","kind":"Index","paths":[{"path_type":"Dir","name":"d","mtime":5000,"size":3},
        {"path_type":"File","name":"f","mtime":6000,"size":1}],"allow_upload":false}"#;
    assert_eq!(
        shown(dufs),
        [
            ("d".into(), true, None, Some(5)),
            ("f".into(), false, Some(1), Some(6))
        ]
    );
}

#[test]
fn names_that_are_no_utf8_come_from_the_url() {
    let found = entries(
        r#"[{"name":"a\ufffd","url":"./a%ff","is_dir":false,"size":1}]"#,
        7,
    )
    .unwrap();
    assert_eq!(found[0].name, b"a\xff");
}

#[test]
fn names_that_are_no_utf8_may_stand_as_they_are() {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    let json = b"[{\"name\":\"a\xff\\n\xc3\xbc\",\"type\":\"file\",\"size\":1}]";
    let each = &mut |element: &[u8]| {
        found.extend(entry(element)?);
        Ok(())
    };
    splitter.feed(json, each).unwrap();
    assert_eq!(found[0].name, b"a\xff\n\xc3\xbc");
}

fn refused(json: &str) {
    for step in [1, 3, 1 << 20] {
        let read = entries(json, step);
        assert!(matches!(read, Err(Error::Listing(_))), "{json:?}: {read:?}");
    }
}

#[test]
fn answers_of_another_kind_are_no_listings() {
    for json in [
        r#"{"errors":["down for maintenance"]}"#,
        r#"{"data":[],"message":"denied"}"#,
        r#"{"errors":[{"name":"timeout"}]}"#,
        r#"{"data":{"paths":[]}}"#,
        r#"{"paths":null}"#,
        r#"{"a":"paths","b":[]}"#,
        r#"{"path":[]}"#,
        r#"{"pathss":[]}"#,
        r#"["a.txt","b.txt"]"#,
        "[1,2,3]",
        "[null]",
        "[[]]",
        r#"[[{"name":"a"}]]"#,
        r#"{"paths":["a.txt"]}"#,
        r#"[{"name":"a"},{"error":"io"}]"#,
        "null",
        r#""[]""#,
        "1[]",
    ] {
        refused(json);
    }
}

#[test]
fn nothing_stands_outside_of_a_listing() {
    for json in [
        "[] trailing",
        "[][]",
        "[]{}",
        r#"[{"name":"a"}]{"error":"timeout"}"#,
        r#"[{"name":"a"}],"#,
        r#"{"paths":[]}0"#,
        "[]\u{feff}",
    ] {
        refused(json);
    }
    assert_eq!(shown("\u{feff} [\r\n] \t\n"), []);
    assert_eq!(shown(r#"{"paths":[]}"#), []);
    // Members beside the entries may be of any kind.
    let one = r#"{"user":"paths","crumbs":[{"name":"root"}],"at":["a",[1]],"paths" : [{"name":"a","of":["x",{}]}],"n":[0]}"#;
    assert_eq!(shown(one), [("a".into(), false, None, None)]);
}

#[test]
fn what_is_cut_or_malformed_is_an_error() {
    for json in [
        "",
        "[",
        r#"[{"name":"a""#,
        "[}",
        r#"[{"size":1}]"#,
        r#"[{"name":5}]"#,
        r#"{"error":"no"}"#,
        "nonsense",
    ] {
        refused(json);
    }
    let endless = format!(r#"[{{"name":"{}"}}]"#, "x".repeat(ELEMENT_MAX));
    assert!(entries(&endless, 4096).is_err());
    let deep = format!("[{{\"name\":{}", "[".repeat(DEPTH_MAX - 1));
    let error = entries(&deep, 4096).unwrap_err().to_string();
    assert!(error.contains("too deeply"), "{error}");
}
