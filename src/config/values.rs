//! What an option's value may be. Each function reads one kind of value, from wherever it came (command line,
//! environment or file), or says in a sentence what was read and what is allowed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tracing::Level;

use super::{ProxyChoice, proxy::Proxy};
use crate::{
    credentials::{Credentials, Secret},
    units::{Rate, Span},
};

/// Characters that a name on the server's screen may have at most.
const USER_MAX: usize = 64;
/// Connections that one client may open at most: beyond this no disk or network gains.
const WORKERS_MAX: usize = 64;
/// Tries that make sense at most: with the pauses between them, a hundred take most of an hour.
const RETRIES_MAX: u32 = 100;
/// Connections that one process may hold at most, as far as file descriptors go.
const CONNECTIONS_MAX: usize = 1_000_000;

/// Clients that one measurement starts at most: each is a process.
const CLIENTS_MAX: usize = 1024;
/// Files that a client of a measurement downloads at most.
const FILES_MAX: usize = 100_000;
/// Runs of one combination at most.
const REPEAT_MAX: usize = 1000;
/// Characters that the name of a measurement has at most.
const LABEL_MAX: usize = 64;

/// A flag's value, as files and environment variables give it.
pub fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{text}` is no choice: true or false")),
    }
}

/// A port to listen on; 0 picks a free one.
pub fn listen_port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no port: 0 to 65535, 0 picks a free one"))
}

/// A port to connect to.
pub fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{text}` is no port: 1 to 65535")),
    }
}

/// An address to listen on; IPv6 ones with or without brackets.
pub fn listen_address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    bare.unwrap_or(text).parse().map_err(|_| {
        format!("`{text}` is no IP address of this machine: such as 127.0.0.1, 0.0.0.0 or ::1")
    })
}

/// A further name of the server, as a URL has it: without scheme, port and path.
pub fn host_name(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 253 || text.starts_with('.') || !text.bytes().all(fits) {
        return Err(format!(
            "`{text}` is no host's name: such as files.example.org, without scheme and port"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// Connections that the client opens in all.
pub fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(workers @ 1..=WORKERS_MAX) => Ok(workers),
        _ => Err(format!(
            "`{text}` is no number of workers: 1 to {WORKERS_MAX}"
        )),
    }
}

/// Directories that are gone into, one inside the other.
pub fn depth(text: &str) -> Result<usize, String> {
    within(text, "directories", 1000)
}

/// Clients that a measurement starts at the same time.
pub fn clients(text: &str) -> Result<usize, String> {
    within(text, "clients", CLIENTS_MAX)
}

/// Files that each client of a measurement downloads.
pub fn files(text: &str) -> Result<usize, String> {
    within(text, "files", FILES_MAX)
}

/// Runs of each combination.
pub fn repeat(text: &str) -> Result<usize, String> {
    within(text, "runs", REPEAT_MAX)
}

fn within(text: &str, what: &str, max: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(format!("`{text}` is no number of {what}: 1 to {max}")),
    }
}

/// A round trip to add; `0` adds none.
pub fn latency(text: &str) -> Result<Option<Span>, String> {
    match text {
        "0" | "0ms" | "0s" => Ok(None),
        _ => text.parse().map(Some),
    }
}

/// Bytes a second, or `off` for no limit.
pub fn rate_or_off(text: &str) -> Result<Option<Rate>, String> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(Some),
    }
}

/// The name of a measurement. No comma: it separates names; no control characters: it stands in tables and logs.
pub fn label(text: &str) -> Result<String, String> {
    let bad = |c: char| c == ',' || c.is_control();
    if text.trim() != text
        || text.is_empty()
        || text.contains(bad)
        || text.chars().count() > LABEL_MAX
    {
        return Err(format!(
            "`{text}` is no name of a measurement: 1 to {LABEL_MAX} characters, no comma among them, no blank at its ends"
        ));
    }
    Ok(text.into())
}

/// The longest name of a run: sockets' paths are short.
const INSTANCE_MAX: usize = 32;

/// The name of a run, which is part of a file's name.
pub fn instance(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || text.len() > INSTANCE_MAX || !text.chars().all(plain) {
        return Err(format!(
            "letters, digits, `-` and `_`, at most {INSTANCE_MAX}, such as nightly"
        ));
    }
    if text.chars().all(|c| c.is_ascii_digit()) {
        return Err("digits alone mean a process: add a letter".to_owned());
    }
    Ok(text.to_owned())
}

/// Where figures are told: an address and a port, or a port of the loopback address.
pub fn metrics(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        format!("`{text}` is no address to listen on: such as 9188, 192.0.2.7:9188 or [::]:9188")
    })
}

/// The names of two measurements, with a comma between them.
pub fn labels(text: &str) -> Result<(String, String), String> {
    match text.split_once(',') {
        Some((one, other)) => Ok((label(one)?, label(other)?)),
        None => Err(format!(
            "`{text}` is one name: two are compared, with a comma between them"
        )),
    }
}

/// Further tries for what failed.
pub fn retries(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(retries @ 0..=RETRIES_MAX) => Ok(retries),
        _ => Err(format!(
            "`{text}` is no number of tries: 0 to {RETRIES_MAX}"
        )),
    }
}

/// Connections that the server takes at the same time.
pub fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(connections @ 1..=CONNECTIONS_MAX) => Ok(connections),
        _ => Err(format!(
            "`{text}` is no number of connections: 1 to {CONNECTIONS_MAX}"
        )),
    }
}

/// Clients that the server serves at the same time.
pub fn max_clients(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(clients @ 1..=CONNECTIONS_MAX) => Ok(clients),
        _ => Err(format!(
            "`{text}` is no number of clients: 1 to {CONNECTIONS_MAX}"
        )),
    }
}

/// The least severe level that is logged, by name or by number.
pub fn verbosity(text: &str) -> Result<Level, String> {
    match text {
        "error" | "40" => Ok(Level::ERROR),
        "warn" | "30" => Ok(Level::WARN),
        "info" | "20" => Ok(Level::INFO),
        "debug" | "10" => Ok(Level::DEBUG),
        "trace" | "5" => Ok(Level::TRACE),
        _ => Err(format!(
            "`{text}` is no level: error, warn, info, debug or trace (or 40, 30, 20, 10, 5)"
        )),
    }
}

/// How a client is called on the server's screen. No colon: a login's name stands before one.
pub fn user(text: &str) -> Result<String, String> {
    let bad = |c: char| c == ':' || c.is_control();
    if text.trim().is_empty() || text.contains(bad) || text.chars().count() > USER_MAX {
        return Err(format!(
            "`{text}` is no name: 1 to {USER_MAX} characters, no `:` among them"
        ));
    }
    Ok(text.into())
}

/// A login, `USER:PASS`. Unlike the others, it never repeats what was read.
pub fn login(text: &str) -> Result<Credentials, String> {
    Credentials::parse_login(text)
}

/// The same for a server's own.
pub fn own_login(text: &str) -> Result<Credentials, String> {
    Credentials::parse_login(text)?.for_guarding()
}

/// Fields that say how a request is framed, what it is for, or who asks: those are the client's own.
const OWN_FIELDS: [&str; 14] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "range",
    "if-range",
    "if-match",
    "accept-encoding",
    "haul-session",
    "proxy-authorization",
];

/// A field, `NAME:VALUE` (RFC 9110 §5.1). No error repeats its value.
pub fn header(text: &str) -> Result<(String, Secret), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("it is no field: write NAME:VALUE")?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("the name of a field is letters, digits and `-`, without blanks".into());
    }
    if OWN_FIELDS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!("`{name}` is a field that haul sets itself"));
    }
    let value = value.trim();
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!(
            "the value of `{name}` has a control character in it"
        ));
    }
    Ok((name.to_owned(), Secret::new(value)))
}

/// A proxy, or `off`. No error repeats a login.
pub fn proxy(text: &str) -> Result<ProxyChoice, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(ProxyChoice::Off);
    }
    let why = |why| format!("this is no proxy: {why}: write http://HOST:PORT, or off");
    Proxy::parse(text).map(ProxyChoice::Through).map_err(why)
}

/// A pattern of remote paths.
pub fn pattern(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(
            "an empty pattern matches nothing: `*` takes a directory's files, `**` everything"
                .into(),
        );
    }
    match globset::Glob::new(text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(format!("`{text}` is no pattern: {}", error.kind())),
    }
}

/// Whether a pattern can match more than the one path that it spells.
pub fn is_wildcard(pattern: &str) -> bool {
    pattern.ends_with('/') || pattern.contains(['*', '?', '[', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_to_their_limits() {
        assert_eq!(
            (listen_port("0"), listen_port("65535")),
            (Ok(0), Ok(65_535))
        );
        assert_eq!(
            listen_port("70000"),
            Err("`70000` is no port: 0 to 65535, 0 picks a free one".into())
        );
        assert!(port("0").is_err() && port("8888").is_ok() && port("http").is_err());
        assert!(workers("0").is_err() && workers("65").is_err() && workers("64").is_ok());
        assert!(retries("-1").is_err() && retries("101").is_err() && retries("0").is_ok());
        assert!(connections("0").is_err() && connections("4096").is_ok());
        assert!(clients("0").is_err() && clients("1").is_ok());
    }

    #[test]
    fn levels_have_names_and_numbers() {
        for (name, number, level) in [
            ("error", "40", Level::ERROR),
            ("warn", "30", Level::WARN),
            ("info", "20", Level::INFO),
            ("debug", "10", Level::DEBUG),
            ("trace", "5", Level::TRACE),
        ] {
            assert_eq!((verbosity(name), verbosity(number)), (Ok(level), Ok(level)));
        }
        assert!(verbosity("15").is_err() && verbosity("INFO").is_err());
    }

    #[test]
    fn a_name_has_no_colon() {
        assert!(user("ada lovelace").is_ok() && user("日本").is_ok());
        for bad in ["a:b", "", " ", "a\nb", &"x".repeat(65)] {
            assert!(user(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_taken_with_brackets_too() {
        assert_eq!(listen_address("[::1]"), listen_address("::1"));
        for bad in ["localhost", "1.2.3", "[::1", "127.0.0.1:80"] {
            assert!(listen_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_are_checked() {
        assert!(pattern("**/*.txt").is_ok() && pattern("a [b").is_err() && pattern("").is_err());
        assert!(is_wildcard("a/") && is_wildcard("*.txt") && !is_wildcard("a b.txt"));
    }
}
