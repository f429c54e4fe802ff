//! The page of a directory in a real browser, driven over its debugging protocol.
//!
//! Chromium is too large to be installed for every run: `cargo test browser -- --ignored` runs this where it is.
//! With `HAUL_SHOTS=DIR` it leaves pictures there: desktop and phone, dark and light.

use std::{fs, path::Path, process::Command, time::Instant};

use haul::{
    credentials::Credentials,
    server::{
        Settings,
        access::{Access, Sources},
    },
    tls::Identity,
};
use serde_json::json;

use crate::common::{
    browser::Browser,
    secure::Authority,
    serving::{PATIENCE, Serving, serve, serve_with},
    tools::need,
    trees::{assert_same, content, make_tree},
};

/// The least contrast of any text on the page to what is behind it (WCAG 2.2 §1.4.3).
const CONTRAST: &str = r"(() => {
    const parse = (color) => color.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const color = parse(getComputedStyle(element).backgroundColor);
            if (color[3] !== 0) return color;
        }
    };
    const texts = [...document.querySelectorAll('a, th, td, li, p, button, input, time')];
    return Math.min(...texts.filter((e) => e.offsetParent).map((e) => {
        const pair = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort();
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    }));
})()";

const SHOWN: &str = "[...document.querySelectorAll('tbody tr:not([hidden]) td:first-child a')].map((a) => a.textContent)";

#[test]
#[ignore = "needs chromium"]
fn a_browser_shows_sorts_filters_and_downloads() {
    let Some(chromium) = need("chromium") else {
        return;
    };
    let (root, profile) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(root.path());
    let serving = serve(root.path());
    let browser = Browser::start(&chromium, profile.path(), &[]);
    everything(browser, &serving, root.path(), "");
}

#[test]
#[ignore = "needs chromium"]
fn over_tls_with_a_login_a_browser_does_the_same() {
    let Some(chromium) = need("chromium") else {
        return;
    };
    let (root, profile) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(root.path());
    let authority = Authority::new();
    let signed = authority.sign("127.0.0.1", 2200);
    let login = Credentials::parse_login("ada:lovelace").unwrap();
    let access = Access::new(&Sources {
        logins: &[login],
        ..Sources::default()
    });
    let serving = serve_with(Settings {
        tls: Some(Identity::load(&signed.certificate, &signed.key).unwrap()),
        access: access.unwrap(),
        ..Settings::new(root.path().to_owned())
    });
    let trust = format!(
        "--ignore-certificate-errors-spki-list={}",
        key_of(&signed.certificate)
    );
    let mut browser = Browser::start(&chromium, profile.path(), &[trust]);
    browser.log_in("ada", "lovelace");
    everything(browser, &serving, root.path(), "tls-");
    let clients = serving.server.snapshot().clients;
    assert!(
        clients
            .iter()
            .any(|client| client.login.as_deref() == Some("ada"))
    );
}

/// SHA-256 of a certificate's public key, in base64.
fn key_of(certificate: &Path) -> String {
    let script = "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | openssl base64";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(certificate)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Everything that a person does with the page; pictures are named after `shots`.
fn everything(mut browser: Browser, serving: &Serving, root: &Path, shots: &str) {
    browser.look(1200, 900, "light");
    browser.open(&serving.url("/"));
    assert_eq!(
        browser.requests(),
        [serving.url("/")],
        "nothing else is asked for"
    );
    browser.wait(
        "document.getElementById('total').textContent",
        "3 folders, 8 files, 8.07 MiB",
    );
    let first = format!("{SHOWN}.slice(0, 4)");
    let expected = json!(["a/", "empty/", "names/", "size-0.bin"]);
    assert_eq!(browser.value(&first), expected);

    // By size, the largest first; folders stay in front.
    browser.value("document.querySelectorAll('th button')[1].click()");
    let sorted = browser.value(SHOWN);
    assert_eq!(
        (&sorted[0], &sorted[3]),
        (&json!("a/"), &json!("size-5242887.bin"))
    );
    assert_eq!(
        browser.value("document.querySelectorAll('th')[1].ariaSort"),
        "descending"
    );
    browser.value("document.querySelectorAll('th button')[1].click()");
    assert_eq!(browser.value(SHOWN)[3], "size-0.bin");

    // The filter, by keyboard.
    for (kind, text) in [("keyDown", "/"), ("keyUp", "/")] {
        let key = json!({"type": kind, "key": text, "text": text});
        browser.call("Input.dispatchKeyEvent", key);
    }
    assert_eq!(browser.value("document.activeElement.id"), "filter");
    browser.call("Input.insertText", json!({"text": "SIZE 1048"}));
    browser.wait(
        SHOWN,
        json!(["size-1048575.bin", "size-1048576.bin", "size-1048577.bin"]),
    );
    assert_eq!(
        browser.value("document.getElementById('total').textContent"),
        "3 of 11 match"
    );
    browser.shot(&format!("{shots}filtered"));
    browser.call("Input.insertText", json!({"text": "x"}));
    browser.wait("document.querySelector('.none').hidden", false);
    browser.shot(&format!("{shots}nothing"));
    for kind in ["keyDown", "keyUp"] {
        browser.call(
            "Input.dispatchKeyEvent",
            json!({"type": kind, "key": "Escape", "code": "Escape"}),
        );
    }
    browser.wait(&format!("{SHOWN}.length"), 11);

    every_width_and_scheme(&mut browser, serving, shots);
    downloads(&mut browser, serving, root);

    // Without script it is still the whole listing, and shows no control that would do nothing.
    browser.call(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": true}),
    );
    browser.open(&serving.url("/names/"));
    assert_eq!(
        browser.value("document.getElementById('filter').hidden"),
        true
    );
    assert_eq!(
        browser.value("document.querySelectorAll('th button').length"),
        0
    );
    let rows = crate::common::trees::NAMES.len() + 1;
    assert_eq!(
        browser.value("document.querySelectorAll('tbody tr').length"),
        rows
    );
}

/// Readable, and never wider than the screen.
fn every_width_and_scheme(browser: &mut Browser, serving: &Serving, shots: &str) {
    for (width, height, name) in [
        (1200, 900, "desktop"),
        (390, 844, "phone"),
        (320, 600, "narrow"),
    ] {
        for scheme in ["light", "dark"] {
            for (target, part) in [
                ("/", "root"),
                ("/names/", "names"),
                ("/empty/inside/", "empty"),
                ("/nothing", "error"),
            ] {
                browser.look(width, height, scheme);
                browser.call("Page.navigate", json!({"url": serving.url(target)}));
                browser.wait(
                    "[location.pathname, document.readyState]",
                    json!([target, "complete"]),
                );
                let contrast = browser.value(CONTRAST).as_f64().unwrap();
                assert!(contrast >= 4.5, "{scheme} {target}: {contrast}");
                let wide = browser.value("document.documentElement.scrollWidth - innerWidth");
                assert_eq!(wide, 0, "{width} {target}");
                browser.shot(&format!("{shots}{part}-{name}-{scheme}"));
            }
        }
    }
    browser.open(&serving.url("/empty/inside/"));
    let shown = |what: &str| format!("document.querySelector('{what}').offsetParent !== null");
    for what in [".all", "th", "#filter"] {
        assert_eq!(browser.value(&shown(what)), false, "{what}");
    }
    // The error page made the browser note a 404, which is no complaint about the page.
    browser.events.clear();
}

/// Files, and everything.
fn downloads(browser: &mut Browser, serving: &Serving, root: &Path) {
    let downloads = tempfile::tempdir().unwrap();
    let file = |name: &str| downloads.path().join(name);
    let behavior = json!({"behavior": "allow", "downloadPath": downloads.path()});
    browser.call("Browser.setDownloadBehavior", behavior);
    browser.open(&serving.url("/"));
    browser.value("document.querySelector('a.g[href$=\"5242887.bin\"]').click()");
    wait_for_file(browser, &file("size-5242887.bin"), 5_242_887);
    let fetched = fs::read(file("size-5242887.bin")).unwrap();
    assert!(fetched == content(5_242_887, 5_242_887));
    browser.value("document.querySelector('.all').click()");
    wait_for_file(browser, &file("files.tar"), 8 << 20);
    let unpacked = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    let tar = tar.arg("-xf").arg(file("files.tar")).arg("-C");
    assert!(tar.arg(unpacked.path()).status().unwrap().success());
    assert_same(root, unpacked.path());
    // What a browser would show is downloaded all the same, under its own name.
    browser.open(&serving.url("/names/"));
    let name = "日本語 ünïcode é.txt";
    let links = "[...document.querySelectorAll('a.g')]";
    browser.value(&format!(
        "{links}.find((a) => a.href.includes(encodeURIComponent('{name}'))).click()"
    ));
    let original = fs::read(root.join("names").join(name)).unwrap();
    wait_for_file(browser, &file(name), original.len() as u64);
    assert_eq!(fs::read(file(name)).unwrap(), original);
}

/// Waits for a download under its final name, and lets the browser go on meanwhile.
fn wait_for_file(browser: &mut Browser, path: &Path, at_least: u64) {
    let start = Instant::now();
    while !path.metadata().is_ok_and(|found| found.len() >= at_least) {
        assert!(start.elapsed() < PATIENCE, "{path:?}");
        browser.value("0");
    }
}
