//! Answers as servers give them: heads in old spellings, parts that call themselves the whole, contents that were coded
//! on the way. What is right lands byte for byte, and nothing else does.

use std::{fs, io::Write as _};

use crate::{
    common::{
        scripted::{Reply, Request, Then, file, ok, reply, scripted},
        trees::content,
    },
    foreign::{MIB, assert_done, each_size, fetch, odd, odd_sized, temp},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use haul::exit::Exit;
use sha2::{Digest as _, Sha256};

/// The answer of a server that never says 206, but in which part of the file its body lies.
fn mislabelled(request: &Request, content: &[u8]) -> Reply {
    let size = content.len();
    let (first, last) = request.range(size).unwrap_or((0, size.min(MIB) - 1));
    let body = &content[first..=last];
    let length = body.len();
    reply(
        &format!("200 OK\nContent-Range: bytes {first}-{last}/{size}\nContent-Length: {length}"),
        if request.method == "HEAD" { b"" } else { body },
    )
}

#[test]
fn a_part_that_calls_itself_the_whole_is_a_part() {
    each_size(|size| odd_sized(size, false, mislabelled).arrives());
    each_size(|size| odd(size, mislabelled).arrives());
}

#[test]
fn a_part_that_nobody_can_place_is_not_the_whole() {
    for range in [
        "bytes 0-999/*",
        "bytes 5-1004/70000",
        "bytes 0-999",
        "lines 0-9/20",
        "bytes 0-9/5",
    ] {
        let odd = odd_sized(70_000, false, move |_, content| {
            let head = format!("200 OK\nContent-Range: {range}\nContent-Length: 1000");
            reply(&head, &content[..1000])
        });
        odd.fails(Exit::Network, "");
    }
    // The whole may say so.
    odd(1000, |_, content| {
        reply(
            "200 OK\nContent-Range: bytes 0-999/1000\nContent-Length: 1000",
            content,
        )
    })
    .arrives();
}

#[test]
fn an_answer_without_a_content_is_no_file() {
    for status in ["202 Accepted", "204 No Content", "207 Multi-Status"] {
        let odd = odd_sized(0, false, move |_, _| {
            reply(&format!("{status}\nContent-Length: 0"), b"")
        });
        odd.fails(Exit::Remote, &status[..3]);
    }
}

#[test]
fn heads_of_old_servers_are_read() {
    let heads = [
        "200 OK\nServer: one\n two\n\tthree\nContent-Length: LEN",
        "200 OK\nContent-Length: LEN\nContent-Length: LEN",
        "200 OK\nContent-Length: LEN, LEN",
        "200 OK\nContent-Length : LEN\nContent-Type\t: text/plain",
        "203 Non-Authoritative Information\nContent-Length: LEN",
        "200\nContent-Length: LEN",
    ];
    for head in heads {
        each_size(|size| {
            odd(size, move |_, content| {
                reply(&head.replace("LEN", &content.len().to_string()), content)
            })
            .arrives();
        });
    }
    let policy = format!("\nContent-Security-Policy: {}", "x".repeat(1000)).repeat(200);
    each_size(|size| {
        let policy = policy.clone();
        odd(size, move |request, content| {
            file(request, content, &policy)
        })
        .arrives();
    });
}

#[test]
fn a_head_that_two_could_read_differently_is_refused() {
    for head in [
        "200 OK\nContent-Length: 900\nContent-Length: 1000",
        "200 OK\nContent-Length: 1000, 900",
        "200 OK\nContent-Length: 10\n 00",
        "200 OK\nContent-Length: +1000",
    ] {
        odd(1000, move |_, content| reply(head, content))
            .fails(Exit::Network, "length is malformed");
    }
    let endless = format!("200 OK\nX: {}\nContent-Length: 9", "x".repeat(300 << 10));
    odd(9, move |_, content| reply(&endless, content)).fails(Exit::Network, "head is too long");
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(content).unwrap();
    coder.finish().unwrap()
}

fn repr_digest(content: &[u8]) -> String {
    format!(
        "sha-256=:{}:",
        BASE64_STANDARD.encode(Sha256::digest(content))
    )
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(content).unwrap();
    coder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn what_is_compressed_by_nature_is_kept_as_it_is() {
    // Apache's `AddEncoding x-gzip .gz .tgz` and `x-compress .Z`, and values that name no coding.
    for (name, coding) in [
        ("a.tar.gz", "x-gzip"),
        ("a.tgz", "gzip"),
        ("old.tar.Z", "x-compress"),
        ("a.zst", "zstd"),
        ("page.html", ""),
        ("page2.html", "identity"),
        ("page3.html", "UTF-8"),
        ("object.bin", "aws-chunked"),
    ] {
        let bytes = content(7, 3 * MIB + 11);
        let server = scripted({
            let bytes = bytes.clone();
            move |request| match request.target.as_str() {
                "/" => ok("text/html", format!("<a href=\"{name}\">x</a>").as_bytes()),
                _ => file(
                    request,
                    &bytes,
                    &format!("\nETag: \"1\"\nContent-Encoding: {coding}"),
                ),
            }
        });
        let target = temp();
        let settings = crate::common::fetching::settings(&server.url("/"), target.path());
        assert_done(&fetch(settings));
        assert!(
            fs::read(target.path().join(name)).unwrap() == bytes,
            "{name}"
        );
    }
}

type Code = fn(&[u8]) -> Vec<u8>;

#[test]
fn what_is_compressed_on_the_way_is_decoded() {
    let codings: [(&str, Code); 3] = [("gzip", gzip), ("deflate", zlib), ("zstd", zstd)];
    for (coding, code) in codings {
        each_size(|size| {
            // Ranges are of the coded content, the length is its length, and so is the digest.
            // Not while the client waits for it.
            let coded = code(&content(size as u64, size));
            let digest = repr_digest(&coded);
            let odd = odd_sized(size, false, move |request, _| {
                file(
                    request,
                    &coded,
                    &format!(
                        "\nETag: \"1\"\nAccept-Ranges: bytes\nContent-Encoding: {coding}\nRepr-Digest: {digest}"
                    ),
                )
            });
            odd.arrives();
        });
        // Chunked, and until the connection closes.
        odd(300_000, move |_, content| {
            let coded = code(content);
            let mut body = format!("{:x}\r\n", coded.len()).into_bytes();
            body.extend_from_slice(&coded);
            body.extend_from_slice(b"\r\n0\r\n\r\n");
            reply(
                &format!("200 OK\nTransfer-Encoding: chunked\nContent-Encoding: {coding}"),
                &body,
            )
        })
        .arrives();
        odd(300_000, move |_, content| {
            reply(
                &format!("200 OK\nContent-Encoding: {coding}"),
                &code(content),
            )
            .then(Then::Close)
        })
        .arrives();
    }
    odd(0, |_, _| {
        reply("200 OK\nContent-Encoding: gzip\nContent-Length: 0", b"")
    })
    .arrives();
}

#[test]
fn a_listing_that_is_compressed_is_read() {
    let server = scripted(|request| match request.target.as_str() {
        "/" => {
            let page = gzip(b"<title>Index of /</title><a href=\"f\">f</a>");
            reply(
                &format!(
                    "200 OK\nContent-Type: text/html\nContent-Encoding: gzip\nContent-Length: {}",
                    page.len()
                ),
                &page,
            )
        }
        _ => file(request, b"content", ""),
    });
    let target = temp();
    assert_done(&fetch(crate::common::fetching::settings(
        &server.url("/"),
        target.path(),
    )));
    assert_eq!(fs::read(target.path().join("f")).unwrap(), b"content");
}

#[test]
fn what_cannot_be_decoded_is_refused_in_true_words() {
    odd(1000, |request, content| {
        file(request, content, "\nContent-Encoding: snappy")
    })
    .fails(Exit::Network, "`snappy`");
    // Cut, and still of the length that it tells: only the coding can tell.
    odd(100_000, |_, content| {
        let coded = gzip(content);
        let cut = &coded[..coded.len() - 9];
        reply(
            &format!(
                "200 OK\nContent-Encoding: gzip\nContent-Length: {}",
                cut.len()
            ),
            cut,
        )
    })
    .fails(Exit::Network, "ends in the middle");
    odd(100_000, |request, content| {
        file(request, content, "\nContent-Encoding: gzip")
    })
    .fails(Exit::Network, "cannot be decoded");
    // A bomb: a thousand times what came is more than any file needs.
    odd(9, |_, _| {
        // A frame without a size, and blocks of 128 KiB of zeros: four bytes each (RFC 8878 §3.1.1.2).
        let block = |last: u32| ((128 << 10) << 3 | 1 << 1 | last).to_le_bytes();
        let blocks = (0..2400).flat_map(|n| [&block(u32::from(n == 2399))[..3], &[0]].concat());
        let zeros: Vec<u8> = b"\x28\xb5\x2f\xfd\x00\x38"
            .iter()
            .copied()
            .chain(blocks)
            .collect();
        reply(
            &format!(
                "200 OK\nContent-Encoding: zstd\nContent-Length: {}",
                zeros.len()
            ),
            &zeros,
        )
    })
    .fails(Exit::Network, "out of all measure");
}
