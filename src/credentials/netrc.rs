//! `.netrc`: logins by host, as ftp, curl, wget and aria2 read them.

use super::Credentials;

/// Reads a file's text: the login of each machine, and of the `default`. What is for other protocols (`account`, `macdef`)
/// is passed over; the error says what is wrong, and repeats none of it.
pub fn read(text: &str) -> Result<Vec<(Option<String>, Credentials)>, String> {
    let mut all = Vec::new();
    let mut lines = text.lines();
    let mut entry: Option<Entry> = None;
    while let Some(line) = lines.next() {
        let mut words = words(line).into_iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or(format!("`{word}` has nothing behind it"))
            };
            match word.as_str() {
                "machine" => {
                    let host = value()?.to_ascii_lowercase();
                    end(entry.replace(Entry::of(Some(host))), &mut all)?;
                }
                "default" => end(entry.replace(Entry::of(None)), &mut all)?,
                "login" => entry_of(&mut entry)?.login = Some(value()?),
                "password" => entry_of(&mut entry)?.password = Some(value()?),
                "account" => {
                    value()?;
                }
                // A macro ends with an empty line.
                "macdef" => {
                    lines.by_ref().find(|line| line.trim().is_empty());
                    break;
                }
                _ => {
                    return Err(
                        "a word that is none of machine, default, login, password, account, macdef"
                            .into(),
                    );
                }
            }
        }
    }
    end(entry, &mut all)?;
    Ok(all)
}

struct Entry {
    host: Option<String>,
    login: Option<String>,
    password: Option<String>,
}

impl Entry {
    fn of(host: Option<String>) -> Self {
        Self {
            host,
            login: None,
            password: None,
        }
    }
}

fn entry_of(entry: &mut Option<Entry>) -> Result<&mut Entry, String> {
    entry
        .as_mut()
        .ok_or_else(|| "a login without a machine".into())
}

fn end(entry: Option<Entry>, all: &mut Vec<(Option<String>, Credentials)>) -> Result<(), String> {
    let Some(Entry {
        host,
        login: Some(login),
        password,
    }) = entry
    else {
        return Ok(());
    };
    let credentials = Credentials::login(&login, &password.unwrap_or_default())?;
    all.push((host, credentials));
    Ok(())
}

/// The words of a line; quotes hold blanks, `\` takes what follows it, a word that begins with `#` ends the line.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted => quoted = false,
            '"' if word.is_none() => (quoted, word) = (true, Some(String::new())),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            blank if blank.is_whitespace() && !quoted => words.extend(word.take()),
            '#' if word.is_none() => break,
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_read_by_host() {
        let text = "# mine\nmachine NAS.lan login ada password \"two words\"\nmachine b.example\n\tlogin b # it\n\tpassword x\\#y\n\
            macdef init\ncd /pub\nmachine no\n\nmachine c account q\ndefault login anonymous password me@x\n";
        let login = |user: &str, password: &str| Credentials::login(user, password).unwrap();
        assert_eq!(
            read(text).unwrap(),
            [
                (Some("nas.lan".into()), login("ada", "two words")),
                (Some("b.example".into()), login("b", "x#y")),
                (None, login("anonymous", "me@x")),
            ]
        );
        assert_eq!(read("").unwrap(), []);
        for wrong in [
            "machine",
            "login secret",
            "machine a login",
            "machine a password secret word",
        ] {
            let error = read(wrong).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
