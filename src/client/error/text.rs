//! What errors say where that depends on what they hold.

use std::io;

pub(super) fn login_text(sent: bool, said: Option<&str>) -> String {
    let text = if sent {
        "the server refuses the login (401): check the name, the password and the server's address"
    } else {
        "the server wants a login (401): give one with --auth-file FILE, --auth USER:PASS or --token-file FILE"
    };
    match said {
        Some(said) => format!("{text}; it says: {said}"),
        None => text.to_owned(),
    }
}

pub(super) fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

pub(super) fn status_text(status: u16, said: Option<&str>) -> String {
    let text = match status {
        403 => "the server forbids it (403)".into(),
        404 => {
            "not found on the server (404): check the path, or list the directory above it".into()
        }
        429 => "the server asks to slow down (429)".into(),
        503 => "the server is busy (503)".into(),
        _ => {
            let reason = http::StatusCode::from_u16(status)
                .ok()
                .and_then(|code| code.canonical_reason());
            format!(
                "the server answered {status} {}",
                reason.unwrap_or("(unknown)")
            )
        }
    };
    match said {
        Some(said) => format!("{text}: {said}"),
        None => text,
    }
}

pub(super) fn bad_piece(piece: Option<u32>) -> String {
    match piece {
        Some(piece) => format!("piece {piece} does not match its digest"),
        None => "the file does not match its digest".into(),
    }
}

pub(super) fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": make space and run the same command again, it goes on with what is here"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": choose another directory with --dir"
        }
        _ => "",
    }
}
