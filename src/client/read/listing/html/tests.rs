use std::fmt::Write as _;

use super::*;

fn page_at(target: &str) -> Page {
    let origin = Url::parse("http://Host:8080/").unwrap();
    Page::new(&origin.join(target).unwrap())
}

fn read(html: &[u8], target: &str) -> Result<Vec<Entry>, Error> {
    let (mut reader, mut entries) = (page_at(target), Vec::new());
    reader.feed(html, &mut |entry, _| entries.push(entry))?;
    reader.finish(false, &mut |entry, _| entries.push(entry))?;
    Ok(entries)
}

/// Why there may be more than a page names.
fn partial(html: &str, target: &str) -> Option<&'static str> {
    let mut reader = page_at(target);
    reader.feed(html.as_bytes(), &mut |_, _| {}).unwrap();
    reader.finish(false, &mut |_, _| {}).unwrap()
}

fn entries(page: &[u8], target: &str) -> Vec<Entry> {
    read(page, target).unwrap()
}

fn shown(page: &str, target: &str) -> Vec<(String, bool, Option<u64>)> {
    let name = |entry: Entry| {
        (
            String::from_utf8_lossy(&entry.name).into_owned(),
            entry.is_dir,
            entry.size,
        )
    };
    entries(page.as_bytes(), target)
        .into_iter()
        .map(name)
        .collect()
}

/// As nginx 1.22 answers, long names shortened in the text.
const NGINX: &str = "<html>\r\n<head><title>Index of /d/</title></head>\r\n<body>\r\n<h1>Index of /d/</h1><hr>\
    <pre><a href=\"../\">../</a>\r\n\
    <a href=\"sub%20dir/\">sub dir/</a>                            22-Nov-2026 10:00                   -\r\n\
    <a href=\"100%25%3F%23.txt\">100%?#.txt</a>                    22-Nov-2026 10:01             1048576\r\n\
    <a href=\"%E6%97%A5.bin\">\u{65e5}.bin</a>                      22-Nov-2026 10:01                 12K\r\n\
    </pre><hr></body>\r\n</html>\r\n";

#[test]
fn nginx() {
    assert_eq!(
        shown(NGINX, "/d/"),
        [
            ("sub dir".into(), true, None),
            ("100%?#.txt".into(), false, Some(1 << 20)),
            ("\u{65e5}.bin".into(), false, None)
        ]
    );
    let dated = entries(NGINX.as_bytes(), "/d/");
    assert_eq!(
        jiff::Timestamp::try_from(dated[0].modified.unwrap())
            .unwrap()
            .to_string(),
        "2026-11-22T10:00:00Z"
    );
}

#[test]
fn python_http_server_and_quotes() {
    let page = r#"<ul><li><a href="a%26b%3D.txt">a&amp;b=.txt</a></li><li><a href='q"uote.txt'>x</a></li>
        <li><a href="plus+plus.txt">x</a></li><li><a href="link/">link@</a></li></ul>"#;
    assert_eq!(
        shown(page, "/"),
        [
            ("a&b=.txt".into(), false, None),
            ("q\"uote.txt".into(), false, None),
            ("plus+plus.txt".into(), false, None),
            ("link".into(), true, None)
        ]
    );
}

#[test]
fn the_data_in_a_page_of_dufs() {
    let page = br#"<body><a href="" class="hidden"></a>
        <template id="index-data">eyJwYXRocyI6W119</template><script src="/x.js"></script>"#;
    assert_eq!(embedded_json(page).unwrap(), br#"{"paths":[]}"#);
    assert_eq!(
        embedded_json(b"<template id=\"index-data\">!</template>"),
        None
    );
    assert_eq!(embedded_json(NGINX.as_bytes()), None);
}

#[test]
fn a_long_page_is_read_in_parts_and_cut_only_between_tags() {
    // Nothing in here is a link: a cut at one of these would make them some.
    let decoy = "<!-- <a href=\"no1\"> --><script>'<a href=\"no2\">'</script><title><a href=no3></title>\
        <p title='<a href=no4>'>";
    let mut page = "<html><pre><a href=\"../\">../</a>".to_owned();
    for number in 0..20_000 {
        let _ = write!(
            page,
            "<a href=\"f{number}\">f</a>  22-Nov-2026 10:01  {number}\r\n{decoy}"
        );
    }
    let whole: Vec<_> = (0..20_000)
        .map(|number| (format!("f{number}"), Some(number)))
        .collect();
    for step in [1000, 65_537, page.len()] {
        let (mut reader, mut found, mut longest) = (page_at("/"), Vec::new(), 0);
        let mut note = |entry: Entry, _| {
            found.push((String::from_utf8(entry.name).unwrap(), entry.size));
        };
        for part in page.as_bytes().chunks(step) {
            reader.feed(part, &mut note).unwrap();
            longest = longest.max(reader.rest.len());
        }
        reader.finish(false, &mut note).unwrap();
        assert!(found == whole, "{step}: {} entries", found.len());
        assert!(longest < 2 * AT_ONCE.max(step), "{step}: {longest}");
    }
}

/// What becomes of a page whose end only its connection's tells.
fn until_close(html: &[u8], step: usize) -> Result<usize, Error> {
    let (mut reader, mut count) = (page_at("/d/"), 0);
    for part in html.chunks(step) {
        reader.feed(part, &mut |_, _| count += 1)?;
    }
    reader.finish(true, &mut |_, _| count += 1)?;
    Ok(count)
}

#[test]
fn a_page_that_ends_with_its_connection_is_whole_only_if_it_closed_what_it_opened() {
    let end = NGINX.find("</body>").unwrap() + "</body>".len();
    for at in 1..end {
        let cut = until_close(&NGINX.as_bytes()[..at], at);
        assert!(matches!(cut, Err(Error::Broken(_))), "{at}: {cut:?}");
        // The framing knew better: it is as it was meant.
        let proven = read(&NGINX.as_bytes()[..at], "/d/");
        assert!(!matches!(proven, Err(Error::Broken(_))), "{at}: {proven:?}");
    }
    assert_eq!(until_close(NGINX.as_bytes(), 7).unwrap(), 3);
    for (html, count) in [
        // Nothing was opened, or all of it with the body.
        ("<a href=\"a\">a</a>", Some(1)),
        (
            "<html><head><body><pre><ul><a href=\"a\">a</a></BODY>",
            Some(1),
        ),
        ("<pre><a href=\"a\">a</a></pre></html>\n", Some(1)),
        (
            "<head><title>Index of /d/</title></head><pre>\n</pre>",
            Some(0),
        ),
        ("<table><table></table><a href=\"a\">a</a>", None),
        ("<ul><li><a href=\"a\">a</a>", None),
        ("<a href=\"a\">a</a><!-- the rest", None),
        ("<a href=\"a\">a</a><", None),
    ] {
        match (until_close(html.as_bytes(), 9), count) {
            (Ok(found), Some(count)) => assert_eq!(found, count, "{html}"),
            (read, count) => assert!(read.is_err() && count.is_none(), "{html}: {read:?}"),
        }
    }
}

#[test]
fn what_is_open_in_a_long_page_is_counted_once() {
    let mut page = "<html><body>".to_owned();
    for number in 0..14_000 {
        let _ = write!(page, "<pre><a href=\"f{number}\">f</a></pre><pre></pre>");
    }
    for step in [1000, page.len()] {
        for (rest, whole) in [("", false), ("<pre></html>", true)] {
            let html = format!("{page}{rest}");
            let read = until_close(html.as_bytes(), step);
            assert_eq!(read.ok(), whole.then_some(14_000), "{step}: {rest:?}");
        }
    }
    // Without anything around it, each of them has to be closed.
    let page = page.replacen("<html><body>", "", 1);
    assert_eq!(until_close(page.as_bytes(), 1000).ok(), Some(14_000));
    let cut = &page.as_bytes()[..page.len() - "</pre>".len()];
    assert!(until_close(cut, 1000).is_err());
}

#[test]
fn links_that_lead_elsewhere_are_no_entries() {
    let page = r##"<a href="?C=N">n</a><a href="/">root</a><a href="../">up</a><a href="http://other/x/y">o</a>
        <a href="//other/x/y">o</a><a href="#top">t</a><a href="mailto:a@b">m</a>
        <a href="/x/ok.txt">ok</a><a href="/x/ok.txt">again</a><a name="no">n</a><a href="%2e%2e/up">u</a>"##;
    assert_eq!(shown(page, "/x/"), [("ok.txt".into(), false, None)]);
}

#[test]
fn links_of_the_same_origin_count_in_every_spelling() {
    let html = r#"<base href="http://host:8080/a%28b%29/sub/"><a href="../one.txt">1</a>
        <a href="http://host:8080/a(b)/two.txt">2</a><a href="//HOST:8080/a%28b)/three.txt">3</a>
        <a href="50%.txt">not here</a><a href="../50%.txt">50%</a><a href="../a%zz%41">x</a>
        <a href="http://host/a(b)/other.txt">o</a><a href="https://host:8080/a(b)/other.txt">o</a>"#;
    let found: Vec<_> = shown(html, "/a(b)/")
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(
        found,
        [
            "one.txt",
            "two.txt",
            "three.txt",
            "50%.txt",
            "a%zzA",
            "sub/50%.txt"
        ]
    );
    let latin = entries(b"<a href=\"na\xefve.txt\">x</a>", "/");
    assert_eq!(latin[0].name, b"na\xefve.txt");
}

#[test]
fn what_lies_deeper_is_taken_unless_its_directory_is_linked() {
    let html = "<a href=\"sub/two.txt\">2</a><a href=\"dir/\">d</a><a href=\"dir/three.txt\">3</a>";
    assert_eq!(
        shown(html, "/"),
        [
            ("dir".into(), true, None),
            ("sub/two.txt".into(), false, None)
        ]
    );
    let leads = r#"<meta http-equiv="Refresh" content="0; URL='files/'"><title>Moved</title>"#;
    assert_eq!(shown(leads, "/"), [("files".into(), true, None)]);
}

#[test]
fn a_page_that_is_no_listing_is_told_by_what_it_is() {
    for (html, seen) in [
        (
            "<title>Sign in</title><form><input type=\"password\"></form>",
            "a login page",
        ),
        (
            "<title>index - powered by h5ai</title><script src=\"/_h5ai/x.js\"></script>",
            "only a script fills",
        ),
        (
            "<meta http-equiv=refresh content='5;url=/elsewhere/'>",
            "leads to /elsewhere/",
        ),
        ("<title>It works!</title><p>Welcome", "`It works!`"),
        ("<title>/x/</title>", "`/x/`"),
        (
            "<title>x</title><h1>x</h1>Service temporarily unavailable",
            "`x`",
        ),
        (
            "<title>Index of /x/</title><a href=\"../\">up</a><input type=Password>",
            "a login page",
        ),
        ("<h1>Directory listing denied</h1>", "listing denied`"),
        ("<title>Directory Listing is off</title>", "is off`"),
        ("<pre>Forbidden</pre>", "without links"),
        ("plain", "without links"),
        ("", "an empty page"),
    ] {
        let error = read(html.as_bytes(), "/x/").unwrap_err().to_string();
        assert!(
            error.contains(seen) && error.starts_with("no listing here"),
            "{error}"
        );
    }
    for empty in [
        "<title>Index of /x/</title>",
        "<h1>Directory listing for /x/</h1><hr><ul>\n</ul>",
        "<h1>Directory listing for /disabled/</h1>",
        "<title>/x/</title><h1><a href=\"../\">/</a>x</h1><script>filter()</script>",
        "<a href=\"../\">../</a>",
        "<a href=\"/\">..</a>",
        "<a href=\"/\">[To Parent Directory]</a>",
        "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n</pre>\n",
    ] {
        assert_eq!(read(empty.as_bytes(), "/x/").unwrap(), [], "{empty}");
    }
}

#[test]
fn a_page_whose_links_lead_elsewhere_is_no_listing_of_nothing() {
    for links in [
        "<a href=\"http://internal:8080/x/keep.txt\">keep.txt</a> <a href=\"http://internal:8080/x/sub/\">sub/</a>",
        "<a href=\"https://host:8080/x/keep.txt\">keep.txt</a>",
        "<a href=\"?get=keep.txt\">keep.txt</a>",
        "<a href=\"keep.txt?raw=1\">keep.txt</a>",
        "<a href=\"/keep.txt\">keep.txt</a>",
        "<a href=\"/?path=x/keep.txt\">keep.txt</a>",
        "<a href=\"../\">..</a> <a href=\"../y/keep.txt\">keep.txt</a>",
        "<a href=\"ftp://host/x/keep.txt\">keep.txt</a>",
    ] {
        let html = format!("<h1>Index of /x/</h1>{links}");
        assert!(partial(&html, "/x/").is_some(), "{links}");
        // What has entries has other links, too.
        let html = format!("{html}<a href=\"ok\">ok</a>");
        assert_eq!(partial(&html, "/x/"), None, "{links}");
    }
}

#[test]
fn listings_of_nothing_have_links_of_their_own() {
    for links in [
        // nginx, lighttpd; fancyindex; Apache, behind a proxy that changes paths too; Jetty
        "<pre><a href=\"../\">../</a></pre>",
        "<a href=\"?C=N&amp;O=A\">File Name</a> <a href=\"?C=S&amp;O=D\">&darr;</a> <a href=\"../\">Parent directory/</a>",
        "<a href=\"?C=N;O=D\">Name</a> <a href=\"?C=M;O=A\">Last modified</a> <a href=\"/\">Parent Directory</a>",
        "<a href=\"/inside/\">Parent Directory</a><address>Apache at <a href=\"mailto:a@b\">host</a></address>",
        "<a href=\"/x/?C=N&amp;O=D\">Name</a>",
        // caddy; rclone; IIS; thttpd; others
        "<a href=\"/\">host</a> <a href=\"/x/\">x</a> <a href=\"?layout=grid\">Grid</a> <a href=\"javascript:go()\">List</a>\
            <a href=\"./?sort=name&order=desc\">Name</a><footer>Served with <a href=\"https://caddyserver.com/v2/\">Caddy</a></footer>",
        "<a href=\"/\">/</a><a href=\"..\">Go up</a><a href=\"?sort=namedirfirst&order=asc\">Name</a>",
        "<a href=\"/\">[To Parent Directory]</a>",
        "<address><a href=\"http://www.acme.com/software/thttpd/\">thttpd/2.27</a></address>",
        "<a href=\"#top\">top</a> <a href=\"\">again</a> <a href=\"https://example.org/\">our host</a> <a name=\"end\">.</a>",
    ] {
        let html = format!("<h1>Index of /x/</h1>{links}");
        assert_eq!(entries(html.as_bytes(), "/x/"), [], "{links}");
        assert_eq!(partial(&html, "/x/"), None, "{links}");
    }
    assert_eq!(partial(NGINX, "/d/"), None);
}

#[test]
fn a_page_that_leads_on_to_another_does_not_name_all() {
    for to in [
        "files/",
        "./files/",
        "/elsewhere/",
        "../",
        "index.html",
        "?page=2",
    ] {
        let html = format!(
            "<meta http-equiv=refresh content='0; url={to}'><title>Index of</title><a href=\"files/\">files</a>"
        );
        assert!(partial(&html, "/x/").is_some(), "{to}");
    }
    for to in ["/x/", "./", "?C=N;O=D", "http://host:8080/x/"] {
        let html =
            format!("<meta http-equiv=refresh content='30; url={to}'><title>Index of</title>");
        assert_eq!(partial(&html, "/x/"), None, "{to}");
    }
}
