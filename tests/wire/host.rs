//! Who is meant: `Host`, and the four forms of a target (RFC 9110 §7.2, RFC 9112 §3.2).

use super::{
    row::{Row, ask, bad, ends, get, ok, row, status, stays},
    stage::HELLO,
};

pub fn rows() -> Vec<Row> {
    let mut rows = hosts();
    rows.extend(forms());
    rows
}

fn with_host(host: &str) -> String {
    format!("GET /hello.txt HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn hosts() -> Vec<Row> {
    const SECTION: &str = "9112 §3.2";
    let mut rows = Vec::new();
    for (what, host) in [
        ("a user", "user@haul"),
        ("a path", "haul/"),
        ("a space", "haul haul"),
        ("a list", "haul, other"),
        ("a port that is no number", "haul:http"),
        ("a port beyond 65535", "haul:65536"),
        ("a signed port", "haul:+80"),
        ("a port alone", ":80"),
        ("two ports", "haul:80:80"),
        ("an escape that is none", "ha%zzul"),
        ("an IPv6 address without its end", "[::1"),
        ("an IPv6 address without brackets", "::1"),
        ("no IPv6 address in brackets", "[1.2.3.4]"),
        ("too many groups in brackets", "[1:2:3:4:5:6:7:8:9]"),
        ("words behind the brackets", "[::1]haul"),
        ("letters beyond ASCII", "h\u{e4}ul"),
    ] {
        let name = format!("a Host with {what} is refused");
        rows.push(row(SECTION, name, with_host(host), ends([bad()])));
    }
    for (what, host) in [
        ("a port", "haul:8888"),
        ("the highest port", "haul:65535"),
        ("an empty port", "haul:"),
        ("an IPv4 address", "127.0.0.1:80"),
        ("an IPv6 address with a port", "[::ffff:127.0.0.1]:80"),
        ("what a registered name may hold", "a-bc_d~e!$&'()*+,;=%41"),
        ("localhost", "localhost:8888"),
        ("the root's dot behind it", "haul."),
        ("a name for home networks", "nas.HOME.arpa:80"),
        ("a name of multicast DNS", "nas.local"),
        ("a name for routers", "nas.lan"),
        ("a name for networks of one's own", "files.nas.internal"),
        ("nothing in it", ""),
    ] {
        let name = format!("a Host with {what} is taken: it is no name that a stranger can make");
        rows.push(row("9110 §7.2", name, with_host(host), stays([ok(HELLO)])));
    }
    for (what, host) in [
        ("a public name", "evil.example"),
        ("a public name and a port", "evil.example:8888"),
        ("a name that looks like an address", "127.0.0.1.evil.example"),
        ("a name that ends like a local one", "evillan.example"),
        ("a name with signs in it", "a-b.c_d~e!$&'()*+,;=%41"),
    ] {
        let name = format!("a Host with {what} is another server's: the name may lead here from a stranger's page");
        rows.push(row("9110 §15.5.20", name, with_host(host), stays([status(421).has("--name")])));
    }
    rows.extend([
        row("9110 §7.4", "a public name in an absolute target is another server's",
            get("http://evil.example/hello.txt", ""), stays([status(421).has("--name evil.example")])),
        row("9110 §7.4", "HTTP/1.0 with a public name asks another server",
            "GET /hello.txt HTTP/1.0\r\nHost: evil.example\r\nConnection: keep-alive\r\n\r\n",
            stays([status(421)])),
        row("9110 §7.4", "OPTIONS of a public name asks another server",
            "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n", stays([status(421)])),
        row(SECTION, "no Host in HTTP/1.1 is refused", "GET /hello.txt HTTP/1.1\r\n\r\n", ends([bad()])),
        row(SECTION, "two equal Hosts are refused", get("/hello.txt", "host: haul\r\n"), ends([bad()])),
        row(SECTION, "two different Hosts are refused", get("/hello.txt", "Host: other\r\n"), ends([bad()])),
        row(SECTION, "two Hosts are refused in HTTP/1.0 too",
            "GET /hello.txt HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", ends([bad()])),
        row(SECTION, "an empty Host and another one are two",
            "GET /hello.txt HTTP/1.1\r\nHost:\r\nHost: haul\r\n\r\n", ends([bad()])),
    ]);
    rows
}

fn forms() -> Vec<Row> {
    let target = |section, name: &str, target: &str, outcome| row(section, name, get(target, ""), outcome);
    vec![
        target("9112 §3.2.2", "an absolute target is taken", "http://haul/hello.txt", stays([ok(HELLO)])),
        target("9112 §3.2.2", "a scheme has no case", "HTTP://haul/hello.txt", stays([ok(HELLO)])),
        target("9110 §4.2.2", "https in a target is taken, as from a proxy that ended TLS",
            "https://haul/hello.txt", stays([ok(HELLO)])),
        row("9112 §3.2.2", "the authority of an absolute target goes before Host",
            "GET http://other:81/ten?meta4 HTTP/1.1\r\nHost: haul\r\n\r\n",
            stays([status(200).has("<url>http://other:81/ten</url>")])),
        target("9110 §4.2.3", "an absolute target without a path means the root",
            "http://haul", stays([status(200).has("hello.txt")])),
        target("9110 §4.2.3", "an absolute target without a path may have a query",
            "http://haul?tar", stays([status(200).with("Content-Type", "application/x-tar")])),
        target("9110 §4.2.4", "a user in a target is refused", "http://user@haul/hello.txt", ends([bad()])),
        target("9110 §4.2.1", "a target without a host is refused", "http:///hello.txt", ends([bad()])),
        target("9110 §4.2.1", "a port alone is no host", "http://:80/hello.txt", ends([bad()])),
        target("9112 §3.2", "a scheme other than http is refused", "ftp://haul/hello.txt", ends([bad()])),
        target("9112 §3.2", "a target that begins with no slash is refused", "hello.txt", ends([bad()])),
        target("9112 §3.2.3", "an authority is CONNECT's target alone", "haul:80", ends([bad()])),
        target("9112 §3.2.4", "an asterisk is the target of OPTIONS alone", "*", ends([bad()])),
        row("9112 §3.2.2", "an absolute target does not replace Host",
            "GET http://haul/hello.txt HTTP/1.1\r\n\r\n", ends([bad()])),
        row("9112 §3.2", "an absolute target does not excuse a malformed Host",
            "GET http://haul/hello.txt HTTP/1.1\r\nHost: a b\r\n\r\n", ends([bad()])),
        row("9112 §3.2.4", "OPTIONS of everything has an asterisk",
            ask("OPTIONS", "*", ""), stays([status(204).with("Allow", "GET, HEAD, OPTIONS")])),
        row("9112 §3.2.4", "an asterisk with a query is no target", ask("OPTIONS", "*?x", ""), ends([bad()])),
        row("9112 §3.2", "HTTP/1.0 needs no Host",
            "GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", stays([ok(HELLO)])),
    ]
}
