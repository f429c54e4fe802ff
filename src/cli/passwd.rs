//! `haul passwd`: a user's line for `haul serve --auth-file`.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use super::print;
use crate::{
    credentials::{Credentials, Secret},
    error::Error,
    exit::{Exit, Local},
    server::access::hashed_line,
    sys::{signals::end_after, terminal::restorer},
};

/// Reads a password, from the terminal twice or from stdin once, and writes `USER:HASH`.
pub fn print_login(user: &str, out: &mut impl Write) -> Result<Exit, Error> {
    let password = Secret::new(if io::stdin().is_terminal() {
        from_terminal()?
    } else {
        let mut line = String::new();
        io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(unreadable)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    });
    let line = Credentials::login(user, password.expose())
        .and_then(Credentials::for_guarding)
        .and_then(|_| hashed_line(user, &password))
        .map_err(|why| Error::Usage(format!("haul passwd: {why}: choose another")))?;
    print(format!("{line}\n").as_bytes(), out)
}

/// Asks twice, without echo, which a signal must not leave so.
fn from_terminal() -> Result<String, Error> {
    end_after(restorer().map_err(unreadable)?)?;
    let ask = |prompt| {
        rpassword::prompt_password(prompt).map_err(|source| match source.kind() {
            // Ctrl-C, which it reads as a key and sends on as the signal.
            io::ErrorKind::Interrupted => Error::Signal(Exit::Interrupted),
            _ => unreadable(source),
        })
    };
    let first = ask("Password: ")?;
    if first != ask("Again: ")? {
        return Err(Error::Usage("the two passwords differ: try again".into()));
    }
    Ok(first)
}

fn unreadable(source: io::Error) -> Error {
    Error::Local(Local {
        what: "cannot read a password".into(),
        source,
        remedy: "type it on a terminal, or give it on stdin",
        exit: Exit::Other,
    })
}
