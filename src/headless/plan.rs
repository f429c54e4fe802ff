//! From settings to what the engine is asked: where to start, what to take, and where it goes.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use url::Url;

use super::stdout::ToStdout;
use crate::{
    client::{
        self, Access, Want,
        metalink::{METALINK_MAX, Metalink},
    },
    config,
    error::Error,
    escape::display_path,
    exit::reason,
    http1::path::RemotePath,
    sys::scratch::Scratch,
};

/// The name that a file for stdout has until it is complete.
const NAME: &str = "output";

/// What a run asks of the engine.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The directory's URL to start from.
    pub url: Url,
    /// The same directory on other servers.
    pub mirrors: Vec<Url>,
    /// Where the Metalink was fetched that names these servers.
    pub(crate) named_at: Option<Url>,
    /// What to take below it.
    pub want: Want,
    /// The directory that it goes to.
    pub dir: PathBuf,
    /// Holds the file that goes on to stdout once it is complete.
    pub(crate) for_stdout: Option<Scratch>,
    /// Where it goes on to, where that is not stdout: a device, a pipe or a socket, which can only be written to.
    sink: Option<PathBuf>,
}

impl Plan {
    /// With `--get` or `--all` the URL is a directory's, with or without its slash. Else it names what to take.
    pub(crate) fn new(settings: &config::Connect) -> Result<Self, Error> {
        let (url, path) = if settings.all || !settings.get.is_empty() {
            (directory(&settings.url), None)
        } else {
            let (url, path) = split(&settings.url)?;
            (url, Some(path))
        };
        let mut plan = Self {
            mirrors: mirrors(settings, &url)?,
            url,
            named_at: None,
            want: match path {
                Some(path) => Want::Path { path, size: None },
                // No pattern at all matches everything.
                None => Want::Patterns {
                    get: settings.get.clone(),
                    exclude: settings.exclude.clone(),
                },
            },
            dir: settings.dir.clone(),
            for_stdout: None,
            sink: None,
        };
        if settings.output.is_some() || settings.checksum.is_some() {
            plan.want = Want::File {
                path: plan.one_path()?,
                name: None,
                checksum: settings.checksum.clone(),
            };
        }
        if let Some(output) = &settings.output {
            plan.rename(output)?;
        }
        plan.want.check()?;
        Ok(plan)
    }

    /// The same, after the Metalink that the settings name, if they do, was read.
    pub(crate) async fn prepare(
        settings: &config::Connect,
        access: &Access,
    ) -> Result<Self, Error> {
        if !settings.names_metalink() {
            return Self::new(settings);
        }
        let metalink = if let Some(file) = &settings.metalink {
            read_metalink(file)?
        } else {
            let url = settings.url.clone();
            let engine = engine_settings(settings, url, Vec::new(), &settings.dir, access);
            let text = client::read_document(&engine, METALINK_MAX).await?;
            Metalink::parse(&String::from_utf8_lossy(&text))?
        };
        let mut servers = metalink.servers.into_iter();
        let Some(url) = servers.next() else {
            return Err(Error::Usage("the Metalink names no server".into()));
        };
        Ok(Self {
            url,
            mirrors: servers.collect(),
            named_at: settings.metalink.is_none().then(|| settings.url.clone()),
            want: Want::Named(metalink.files),
            dir: settings.dir.clone(),
            for_stdout: None,
            sink: None,
        })
    }

    /// The one path that is asked for by its name, whatever it turns out to be.
    pub(crate) fn one(&self) -> Option<RemotePath> {
        let path = match &self.want {
            Want::Path { path, .. } | Want::File { path, .. } => Some(path.clone()),
            Want::Patterns { get, .. } => match get.as_slice() {
                [text] if !text.ends_with('/') && !text.contains(['*', '?', '[', '{']) => {
                    one_path(get).ok()
                }
                _ => None,
            },
            Want::Named(_) => None,
        };
        path.filter(|path| !path.is_root())
    }

    /// The same of what the settings ask for.
    pub(crate) fn one_of(settings: &config::Connect) -> Option<RemotePath> {
        if settings.names_metalink() || settings.only_browses() {
            return None;
        }
        Self::new(settings).ok()?.one()
    }

    /// The way to stdout, where the file goes there.
    pub(super) fn stdout(&self) -> Option<ToStdout> {
        let scratch = self.for_stdout.as_ref()?;
        Some(ToStdout::new(scratch.path().join(NAME), self.sink.clone()))
    }

    /// The one file that is wanted; the settings were checked to ask for one.
    fn one_path(&self) -> Result<RemotePath, Error> {
        match &self.want {
            Want::Path { path, .. } | Want::File { path, .. } => Ok(path.clone()),
            Want::Patterns { get, .. } => one_path(get),
            Want::Named(_) => Err(Error::Usage("a Metalink names files itself".into())),
        }
    }

    /// Gives the one file that is wanted another name.
    fn rename(&mut self, output: &Path) -> Result<(), Error> {
        let whole = self.dir.join(output);
        let there = fs::metadata(&whole).map(|there| there.file_type()).ok();
        if there.is_some_and(|there| there.is_dir()) {
            return Err(Error::Usage(format!(
                "--output: {} is a directory: name a file in it, or give it to --dir",
                display_path(&whole)
            )));
        }
        self.sink = there
            .filter(|there| !there.is_file())
            .map(|_| whole.clone());
        let name = if output == Path::new("-") || self.sink.is_some() {
            let scratch = Scratch::new()?;
            scratch.path().clone_into(&mut self.dir);
            self.for_stdout = Some(scratch);
            NAME.as_bytes().to_owned()
        } else {
            let (Some(dir), Some(name)) = (whole.parent(), whole.file_name()) else {
                return Err(Error::Usage(format!(
                    "--output: `{}` is no file name",
                    output.display()
                )));
            };
            dir.clone_into(&mut self.dir);
            name.as_bytes().to_owned()
        };
        if let Want::File { name: given, .. } = &mut self.want {
            *given = Some(name);
        }
        Ok(())
    }
}

/// The settings' mirrors as directories, like `base`, which was made from the first server's URL.
fn mirrors(settings: &config::Connect, base: &Url) -> Result<Vec<Url>, Error> {
    let names_dir = base.path() == directory(&settings.url).path();
    let each = settings.mirrors.iter().map(|mirror| {
        if names_dir {
            return Ok(directory(mirror));
        }
        let (dir, name) = split(mirror)?;
        if name == split(&settings.url)?.1 {
            Ok(dir)
        } else {
            Err(Error::Usage(format!(
                "{} names another file than {}: mirrors hold one tree, with the same names below their URLs",
                shown(mirror),
                shown(&settings.url)
            )))
        }
    });
    each.collect()
}

/// The server that a local Metalink names. Of several, none is the one that a login, a field or a fingerprint is for.
pub(super) fn only_server(file: &Path) -> Result<Url, Error> {
    let mut servers = read_metalink(file)?.servers;
    match (servers.pop(), servers.is_empty()) {
        (Some(server), true) => Ok(server),
        _ => Err(Error::Usage(format!(
            "{} names several servers, and a login, a field or a fingerprint is for one: write logins as lines `URL USER:PASS` into --auth-file, and leave the others out",
            display_path(file)
        ))),
    }
}

/// A local Metalink.
fn read_metalink(file: &Path) -> Result<Metalink, Error> {
    let failed = |why: &str| Error::Usage(format!("{}: {why}", display_path(file)));
    let mut text = Vec::new();
    let opened =
        File::open(file).and_then(|file| file.take(METALINK_MAX as u64 + 1).read_to_end(&mut text));
    opened.map_err(|error| failed(&format!("cannot be read: {}", reason(&error))))?;
    if text.len() > METALINK_MAX {
        return Err(failed("too large for a Metalink: at most 16 MiB are read"));
    }
    Ok(Metalink::parse(&String::from_utf8_lossy(&text))?)
}

fn directory(url: &Url) -> Url {
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

/// A URL for people: without its query, which may hold a signature.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

/// The URL of the directory, and the name in it.
fn split(url: &Url) -> Result<(Url, RemotePath), Error> {
    let at = url.path().rfind('/').unwrap_or_default();
    let path = RemotePath::from_target(&url.path().as_bytes()[at..])
        .map_err(|error| Error::Usage(format!("{}: {error}", shown(url))))?;
    // A query belongs to what the URL names: with it the URL stays whole, and the client parts it.
    let mut parent = url.clone();
    if url.query().is_none() {
        parent.set_path(&url.path()[..=at]);
    }
    Ok((parent, path))
}

/// The path that a pattern without wildcards spells.
fn one_path(get: &[String]) -> Result<RemotePath, Error> {
    let mut path = RemotePath::root();
    let text = get.first().map_or("", String::as_str);
    for name in text.split('/').filter(|name| !name.is_empty()) {
        path.push(name.as_bytes())
            .map_err(|error| Error::Usage(format!("--get: `{text}`: {error}")))?;
    }
    Ok(path)
}

/// What the client's engine runs with, with or without a screen; without one nobody could end endless patience.
pub(crate) fn engine_settings(
    settings: &config::Connect,
    url: Url,
    mirrors: Vec<Url>,
    dir: &Path,
    access: &Access,
) -> client::Settings {
    client::Settings {
        url,
        mirrors,
        named_at: None,
        access: access.clone(),
        dir: dir.to_owned(),
        state_dir: config::state_dir(),
        workers: settings.workers,
        retries: settings.retries,
        timeout: settings.timeout,
        limit: settings.limit,
        user: settings.user.clone(),
        serial: settings.serial,
        max_depth: settings.max_depth,
        fail_empty: settings.fail_empty,
        on_conflict: settings.on_conflict,
        backup: settings.backup,
        delete: settings.delete,
        dry_run: settings.dry_run,
        resume: settings.resume,
        checksums: None,
        patient: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command};

    fn planned(arguments: &[&str]) -> Plan {
        let typed: Vec<_> = ["haul", "connect"]
            .iter()
            .chain(arguments)
            .map(std::ffi::OsString::from)
            .collect();
        let Ok(parsed) = cli::parse(&typed) else {
            panic!("{arguments:?} is wrong");
        };
        let Command::Connect(args) = parsed.command else {
            panic!("another command");
        };
        Plan::new(&cli::connect(*args, false).unwrap()).unwrap()
    }

    #[test]
    fn a_url_without_a_slash_names_what_to_take() {
        for (given, base, name) in [
            ("http://nas/a.txt", "http://nas/", "a.txt"),
            ("http://nas/x/%23%20a.txt", "http://nas/x/", "# a.txt"),
            ("nas:9/x/y", "http://nas:9/x/", "y"),
        ] {
            let plan = planned(&[given]);
            assert_eq!(plan.url.as_str(), base);
            assert_eq!(plan.dir, Path::new("."));
            let Want::Path { path, .. } = plan.want else {
                panic!("{given}: {:?}", plan.want);
            };
            assert_eq!(path.as_bytes(), name.as_bytes());
        }
    }

    #[test]
    fn with_patterns_the_url_is_a_directory() {
        for given in ["http://nas/x", "http://nas/x/"] {
            let plan = planned(&[given, "--get", "*.txt", "--exclude", "b"]);
            assert_eq!(plan.url.as_str(), "http://nas/x/");
            let Want::Patterns { get, exclude } = plan.want else {
                panic!("{given}: {:?}", plan.want);
            };
            assert_eq!((get, exclude), (vec!["*.txt".into()], vec!["b".into()]));
        }
        let plan = planned(&["--all"]);
        assert!(matches!(plan.want, Want::Patterns { get, .. } if get.is_empty()));
    }

    #[test]
    fn one_path_is_known_where_its_name_is_given() {
        for (arguments, one) in [
            (&["http://nas/x/a%20b"][..], Some("a b")),
            (&["nas/x/", "-g", "c/a b.txt"], Some("c/a b.txt")),
            (&["nas/a", "-o", "b"], Some("a")),
            (&["nas/x/", "-g", "c/"], None),
            (&["nas/x/", "-g", "*.txt"], None),
            (&["nas/x/", "-g", "a", "-g", "b"], None),
            (&["nas/x/", "--all"], None),
        ] {
            let found = planned(arguments).one();
            let found = found.as_ref().map(RemotePath::as_bytes);
            assert_eq!(found, one.map(str::as_bytes), "{arguments:?}");
        }
    }

    #[test]
    fn one_file_may_get_another_name() {
        for (arguments, dir, remote) in [
            (&["http://nas/x/a.txt", "-o", "b.txt"][..], ".", "a.txt"),
            (
                &["nas/x/", "-g", "c/a b.txt", "-d", "t", "-o", "b.txt"],
                "t",
                "c/a b.txt",
            ),
            (&["nas/a", "-d", "t", "-o", "u/b.txt"], "t/u", "a"),
            (&["nas/a", "-d", "t", "-o", "/v/b.txt"], "/v", "a"),
        ] {
            let plan = planned(arguments);
            assert_eq!(plan.dir, Path::new(dir), "{arguments:?}");
            let Want::File {
                path,
                name: Some(name),
                ..
            } = plan.want
            else {
                panic!("{arguments:?}: {:?}", plan.want);
            };
            assert_eq!(
                (path.as_bytes(), name.as_slice()),
                (remote.as_bytes(), &b"b.txt"[..])
            );
        }
        let plan = planned(&["nas/a", "-o", "-"]);
        assert!(plan.stdout().is_some());
    }
}
