//! Redirects through whatever else a download may be: TLS, Metalinks, stdout, files that are here already.

use std::{fs, path::Path};

use haul::tls::Fingerprint;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{haul, last_line, store, to};
use crate::{
    common::{
        program::Haul,
        scripted::{file, not_found, ok, scripted},
        secure::{Authority, Daemon, Signed},
        trees::{content, hex},
    },
    foreign::{Foreign, MIB, nginx_listening, temp},
};

/// nginx that shows a certificate, with directives of the test's own.
fn nginx(signed: &Signed, root: &Path, directives: &str) -> Option<Foreign> {
    let certificate = format!(
        "ssl_certificate {}; ssl_certificate_key {}; {directives}",
        signed.certificate.display(),
        signed.key.display()
    );
    nginx_listening(root, "ssl", "", &certificate)
}

fn secure(url: &str) -> String {
    url.replace("http://", "https://")
}

#[test]
fn into_tls_it_is_followed_and_never_out_of_it() {
    let (root, authority) = (temp(), Authority::new());
    fs::write(root.path().join("f"), content(4, 3 * MIB)).unwrap();
    let signed = authority.sign("127.0.0.1", 2200);
    let there = Daemon::start(root.path(), &signed.arguments());
    let url = format!("{}/f", there.url);
    let first = scripted({
        let url = url.clone();
        move |_| to(301, &url)
    });
    let ca = authority.file();
    let trusting = |url: &str, dir: &Path, more: &[&str]| {
        haul(dir, url, more).env("SSL_CERT_FILE", ca.to_str().unwrap())
    };
    let dir = temp();
    let (code, out, told) = trusting(&first.url("/f"), dir.path(), &[]).run();
    assert_eq!(code, 0, "{out}{told}");
    assert!(fs::read(dir.path().join("f")).unwrap() == content(4, 3 * MIB));
    assert!(
        out.contains("blake3") || !out.contains("unverified"),
        "{out}"
    );

    // Nobody vouches for it: the user was asked about the first server only.
    let line = last_line(haul(temp().path(), &first.url("/f"), &[]), 5);
    assert!(
        line.contains("cannot be sure that this is 127.0.0.1"),
        "{line}"
    );

    let plain = store(100);
    let rule = format!(
        "location / {{ return 302 {}; }}",
        plain.url("/f?sig=s3cret")
    );
    let Some(out_of_tls) = nginx(&signed, root.path(), &rule) else {
        return;
    };
    let dir = temp();
    let line = last_line(trusting(&secure(&out_of_tls.url("/f")), dir.path(), &[]), 3);
    let says = format!(
        "redirects to {}: out of https into plain http",
        plain.url("/f?...")
    );
    assert!(
        line.contains(&says) && line.contains("connect to that address"),
        "{line}"
    );
    assert_eq!(plain.requests().len(), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let Some(within) = nginx(
        &signed,
        root.path(),
        &format!("location / {{ return 302 {url}; }}"),
    ) else {
        return;
    };
    let dir = temp();
    let (code, out, told) = trusting(&secure(&within.url("/f")), dir.path(), &[]).run();
    assert_eq!(code, 0, "{out}{told}");
    assert!(fs::read(dir.path().join("f")).unwrap() == content(4, 3 * MIB));

    // A pin of the first server vouches for that one alone, even where both show the same certificate.
    let der = CertificateDer::from_pem_file(&signed.certificate).unwrap();
    let pin = format!("SHA256:{}", Fingerprint::of(&der));
    let pin = pin.replace("SHA256:SHA256:", "SHA256:");
    let run = haul(
        temp().path(),
        &secure(&within.url("/f")),
        &["--fingerprint", &pin],
    );
    let line = last_line(run, 5);
    assert!(
        line.contains(&format!(
            "cannot be sure that this is {}",
            there.authority()
        )),
        "{line}"
    );
}

#[test]
fn metalinks_and_what_they_name_may_lie_elsewhere() {
    let away = store(3 * MIB);
    let there = away.url("/deep/f");
    let named = scripted(move |_| to(302, &there));
    let digest = <sha2::Sha256 as sha2::Digest>::digest(content(4, 3 * MIB));
    let text = format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"x\"><hash type=\"sha-256\">{}</hash><url>{}</url></file></metalink>",
        hex(&digest),
        named.url("/f?v=1")
    );
    let document = scripted(move |_| ok("application/metalink4+xml", text.as_bytes()));
    let there = document.url("/real?sig=s3cret");
    let first = scripted(move |_| to(302, &there));
    let dir = temp();
    let url = first.url("/all.meta4");
    let (code, out, told) = haul(dir.path(), &url, &["--auth", "ada:lovelace"]).run();
    assert_eq!(code, 0, "{out}{told}");
    assert!(fs::read(dir.path().join("x")).unwrap() == content(4, 3 * MIB));
    assert!(first.requests()[0].field("Authorization").is_some());
    for server in [&document, &named, &away] {
        let told = server
            .requests()
            .iter()
            .any(|it| it.field("Authorization").is_some());
        assert!(!told && !server.requests().is_empty());
    }
}

#[test]
fn to_stdout_and_by_name_and_where_a_file_is_here() {
    let size = 5 * MIB + 7;
    let away = scripted(move |request| {
        file(
            request,
            &content(4, size),
            "\nETag: \"1\"\nLast-Modified: Wed, 01 Jan 2025 00:00:00 GMT",
        )
    });
    let base = away.url("");
    let first = scripted(move |request| match request.target.as_str() {
        "/" => ok("text/html", b"<a href=\"f\">f</a>"),
        "/f" => to(303, &format!("{base}/f?sig=1")),
        _ => not_found(),
    });
    let mut run = Haul::new(&["connect", &first.url("/f"), "--headless", "-o", "-"]);
    let output = run.command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.stdout == content(4, size));

    let dir = temp();
    for more in [
        &["--get", "f"][..],
        &["--get", "f", "--on-conflict", "skip"],
        &["--get", "f", "--on-conflict", "rename"],
    ] {
        let (code, out, told) = haul(dir.path(), &first.url("/"), more).run();
        assert_eq!(code, 0, "{more:?}: {out}{told}");
        assert!(fs::read(dir.path().join("f")).unwrap() == content(4, size));
    }
    let heads = |server: &crate::common::scripted::Scripted| {
        server
            .requests()
            .iter()
            .filter(|it| it.method == "HEAD")
            .count()
    };
    assert!(
        heads(&first) > 0 && heads(&away) > 0,
        "what is here is looked at first"
    );
}
