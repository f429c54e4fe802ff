//! Messages name what was found, and what to do about it.

use std::{fs, path::Path, process::Command};

use crate::common::{
    program::Haul,
    raw::{fetch, get},
    secure::Daemon,
    tools::need,
};

/// Runs openssl in `dir`; its words on standard error are of no use.
fn openssl(dir: &Path, line: &str) {
    let output = Command::new("openssl")
        .args(line.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Keys and certificates of every kind, and what else may be named in their place.
fn make_keys(dir: &Path) {
    let make = |line: &str| openssl(dir, line);
    let new = "-nodes -subj /CN=x -days 30";
    for (name, kind) in [
        ("good", "ec -pkeyopt ec_paramgen_curve:P-256"),
        ("ca", "ec -pkeyopt ec_paramgen_curve:P-256"),
        ("p521", "ec -pkeyopt ec_paramgen_curve:P-521"),
        ("k1", "ec -pkeyopt ec_paramgen_curve:secp256k1"),
        ("rsa1024", "rsa:1024"),
        ("ed448", "ed448"),
    ] {
        make(&format!(
            "req -x509 -newkey {kind} -keyout {name}.key -out {name}.pem {new}"
        ));
    }
    make("rsa -in rsa1024.key -traditional -out pkcs1.key");
    make("pkey -in good.key -aes128 -passout pass:x -out encrypted.key");
    make("ec -in good.key -aes128 -passout pass:x -out old.key");
    make("pkey -in good.key -pubout -out public.key");
    make("pkey -in good.key -outform der -out der.key");
    make("x509 -in good.pem -outform der -out der.pem");
    make("req -new -key good.key -subj /CN=x -out good.csr");
    // Signed without extensions: version 1.
    make("x509 -req -in good.csr -signkey good.key -out v1.pem -days 30");
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    fs::write(
        dir.join("reversed.pem"),
        [read("ca.pem"), read("good.pem")].concat(),
    )
    .unwrap();
    fs::write(dir.join("empty"), "\n").unwrap();
}

const USABLE: &str = "use an ECDSA key on P-256 or P-384";

/// Certificate, key, what is found, and what helps.
const REFUSED: [(&str, &str, &str, &str); 16] = [
    (
        "good.pem",
        "encrypted.key",
        "it is encrypted",
        "openssl pkey -in",
    ),
    ("good.pem", "old.key", "it is encrypted", "openssl pkey -in"),
    (
        "p521.pem",
        "p521.key",
        "it is an ECDSA key on P-521",
        USABLE,
    ),
    (
        "k1.pem",
        "k1.key",
        "it is an ECDSA key on secp256k1",
        USABLE,
    ),
    ("ed448.pem", "ed448.key", "it is an Ed448 key", USABLE),
    (
        "rsa1024.pem",
        "rsa1024.key",
        "it is an RSA key of 1024 bits",
        USABLE,
    ),
    (
        "rsa1024.pem",
        "pkcs1.key",
        "it is an RSA key of 1024 bits",
        USABLE,
    ),
    (
        "v1.pem",
        "good.key",
        "it is X.509 version 1",
        "issued with version 3",
    ),
    (
        "reversed.pem",
        "good.key",
        "its first certificate is not the key's",
        "certificate first",
    ),
    (
        "good.pem",
        "good.pem",
        "it is a certificate",
        "BEGIN PRIVATE KEY",
    ),
    (
        "good.key",
        "good.key",
        "it is a private key",
        "BEGIN CERTIFICATE",
    ),
    (
        "good.pem",
        "public.key",
        "it holds PUBLIC KEY",
        "name another file",
    ),
    (
        "good.pem",
        "der.key",
        "it is binary",
        "openssl pkey -inform der",
    ),
    (
        "der.pem",
        "good.key",
        "it is binary",
        "openssl x509 -inform der",
    ),
    ("good.pem", "empty", "it is empty", "name another file"),
    (
        "ca.pem",
        "good.key",
        "does not belong to the certificate",
        "made together",
    ),
];

#[test]
fn what_cannot_be_used_as_certificate_or_key_is_named_with_the_way_out() {
    if need("openssl").is_none() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    make_keys(dir);
    for (certificate, key, found, remedy) in REFUSED {
        let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let (certificate, key) = (at(certificate), at(key));
        let line = Haul::new(&[
            "serve",
            "--headless",
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
        ]);
        let told = line.fails(2);
        assert!(told.contains(found) && told.contains(remedy), "{told}");
        assert!(told.contains(&certificate) || told.contains(&key), "{told}");
        assert!(
            !told.contains("Other(") && !told.contains("General"),
            "{told}"
        );
    }
}

#[test]
fn the_mark_of_a_byte_order_is_no_part_of_any_file() {
    let marked = |text: &str| format!("\u{feff}{text}");
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    fs::write(path("tokens"), marked("abc\n")).unwrap();
    fs::write(path("login"), marked("ada:lovelace\n")).unwrap();
    fs::write(path("serve.ini"), marked("auth = ada:lovelace\n")).unwrap();
    // A certificate and a key with the mark.
    let made = Daemon::start(root.path(), &["--tls"]);
    let fingerprint = made.fingerprint.clone();
    let pem = fs::read_to_string(made.end().path().join("haul/tls.pem")).unwrap();
    fs::write(path("tls.pem"), marked(&pem)).unwrap();
    let pem = path("tls.pem");
    let line = ["--tls-cert", &pem, "--tls-key", &pem];
    assert_eq!(Daemon::start(root.path(), &line).fingerprint, fingerprint);
    // Both sides' logins and tokens.
    let (tokens, config) = (path("tokens"), path("serve.ini"));
    let daemon = Daemon::start(root.path(), &["--token-file", &tokens, "-c", &config]);
    let answer = fetch(daemon.address(), get("/f", "Authorization: Bearer abc\r\n"));
    assert_eq!(answer.text(), "hello");
    for (option, file, to) in [
        ("--auth-file", "login", "a"),
        ("--token-file", "tokens", "b"),
    ] {
        let line = [
            "connect",
            &daemon.url,
            "--all",
            option,
            &path(file),
            "-d",
            &path(to),
        ];
        let (code, _, stderr) = Haul::new(&line).run();
        assert_eq!(code, 0, "{option}: {stderr}");
    }
    // Times, and the message about damaged ones names no option that is not there.
    let times = path("times.json");
    fs::write(&times, marked("{\"version\":1,\"evaluations\":[]}")).unwrap();
    let (_, _, stderr) = Haul::new(&["plot", "--times", &times, "--out", &path("drawn")]).run();
    assert!(!stderr.contains("no whole file of times"), "{stderr}");
    fs::write(&times, "{\"version\":1,").unwrap();
    let told = Haul::new(&["plot", "--times", &times, "--out", &path("drawn")]).fails(2);
    assert!(
        told.contains("move it away") && !told.contains("--json"),
        "{told}"
    );
}
