//! The modules of the program, and which of them import which: read from their text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each module (`client/net`) and its code: no comments, no tests, no line ends.
pub type Files = BTreeMap<String, String>;

/// Reads what is in `dir`, which is `src` or below it.
pub fn read(dir: PathBuf, files: &mut Files) {
    for path in fs::read_dir(dir).unwrap().map(|at| at.unwrap().path()) {
        if !path.is_dir() && path.extension() != Some("rs".as_ref()) {
            continue;
        }
        let name = path.with_extension("").display().to_string();
        let module = name["src/".len()..].trim_end_matches("/mod");
        if path.is_dir() {
            read(path, files);
        } else if module != "main" && module != "lib" && !module.ends_with("/tests") {
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code.lines().filter_map(|line| line.split("//").next());
            files.insert(module.to_owned(), lines.map(str::trim).collect());
        }
    }
}

/// The paths that `code` begins with: one, or with braces a tree of them.
fn paths(code: &str) -> Vec<String> {
    let (mut out, mut around, mut path) = (Vec::new(), vec![String::new()], String::new());
    for c in code.chars().chain([';']) {
        match c {
            '{' if path.ends_with("::") || path.is_empty() => {
                around.push(std::mem::take(&mut path));
            }
            ' ' if path.is_empty() => {}
            c if c.is_alphanumeric() || "_: ".contains(c) => path.push(c),
            _ => {
                if !path.is_empty() {
                    out.push(around.concat() + &std::mem::take(&mut path));
                }
                if c == '}' {
                    around.pop();
                }
                if around.len() == 1 {
                    break;
                }
            }
        }
    }
    out
}

/// Where `path` in `module` leads to from the crate's root, `client/net/Origin`; `None` for what is not ours.
fn absolute(module: &str, path: &str, files: &Files) -> Option<String> {
    let mut there: Vec<_> = module.split('/').collect();
    for (index, name) in path.split("::").enumerate() {
        match name.split(' ').next()? {
            "crate" => there.clear(),
            "self" => {}
            "super" => _ = there.pop()?,
            _ if index == 0 && !files.contains_key(&format!("{module}/{name}")) => return None,
            name => there.push(name),
        }
    }
    Some(there.join("/"))
}

/// A path and what is around it, from the inside out.
pub fn up(path: &str) -> impl Iterator<Item = &str> {
    Path::new(path).ancestors().filter_map(Path::to_str)
}

/// The file that defines what is at `path`, which others may give on.
fn home<'f>(path: &str, given: &BTreeMap<String, String>, files: &'f Files) -> Option<&'f str> {
    match up(path).find_map(|part| given.get_key_value(part)) {
        Some((from, to)) => home(&(to.clone() + &path[from.len()..]), given, files),
        None => up(path).find_map(|part| Some(files.get_key_value(part)?.0.as_str())),
    }
}

/// Who imports whom. What is re-exported counts where it is defined.
pub fn imports(files: &Files) -> BTreeSet<(&str, &str)> {
    let (mut named, mut given) = (Vec::new(), BTreeMap::new());
    for (module, code) in files {
        let words = ["use ", "crate::", "super::"];
        for (at, word) in words.iter().flat_map(|word| code.match_indices(word)) {
            let before = &code[..at];
            let all = paths(code[at..].trim_start_matches("use "));
            for path in all.iter().filter_map(|path| absolute(module, path, files)) {
                if word == "use " && before.ends_with("pub ") {
                    let name = format!("{module}/{}", path.rsplit('/').next().unwrap());
                    // A module may have the name of what it gives: that one is imported by its path.
                    given.extend((!files.contains_key(&name)).then_some((name, path)));
                } else if !before.ends_with("pub use ") && !before.ends_with("(in ") {
                    named.push((module.as_str(), path));
                }
            }
        }
    }
    let all = named.iter();
    all.filter_map(|(module, path)| Some((*module, home(path, &given, files)?)))
        .filter(|(module, there)| module != there)
        .collect()
}
