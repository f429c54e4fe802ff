//! ARCHITECTURE.md lists the modules from the top down: imports run down that list, and never in a circle.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::Path,
};

/// Files that still import each other in circles. Whoever opens one strikes its files off; none is added.
const CIRCLES: &[&str] = &[
    "/app",
    "/app/browser",
    "/app/command",
    "/app/command/parse",
    "/app/connect",
    "/app/event",
    "/app/serve",
    "/server/body",
    "/server/clients",
    "/server/connection",
    "/server/connection/closing",
    "/server/connection/input",
    "/server/connection/made",
    "/server/connection/parts",
    "/server/connection/tree",
    "/server/open",
    "/server/peers",
    "/server/respond",
    "/server/respond/dir",
    "/server/standing",
    "/server/stream",
    "/server/transfers",
    "/server/values",
    "/server/values/store",
    "/ui/bars",
    "/ui/clients",
    "/ui/clients/columns",
    "/ui/details",
    "/ui/files",
    "/ui/files/columns",
    "/ui/files/words",
    "/ui/help",
    "/ui/popup",
    "/ui/prompt",
    "/ui/qr",
    "/ui/remote",
    "/ui/transfers",
    "/ui/transfers/row",
];

/// Each module (`/client/net`) and its code: no comments, no tests, no line ends.
type Files = BTreeMap<String, String>;

fn read(dir: &Path, module: &str, files: &mut Files) {
    for path in fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let own = format!("{module}/{name}").replace("/mod", "");
        if path.is_dir() {
            read(&path, &own, files);
        } else if path.extension().is_some_and(|end| end == "rs")
            && !["main", "lib", "tests"].contains(&name)
        {
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code
                .lines()
                .map(|line| line.split("//").next().unwrap().trim());
            files.insert(own, lines.collect());
        }
    }
}

/// The paths that a tree of `use` names.
fn expand(prefix: &str, tree: &str, out: &mut Vec<String>) {
    let (mut depth, mut start) = (0, 0);
    for (at, c) in tree.char_indices().chain([(tree.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = tree[start..at].trim();
                match part.strip_suffix('}').and_then(|part| part.split_once('{')) {
                    Some((head, rest)) => expand(&format!("{prefix}{head}"), rest, out),
                    None if part.is_empty() => {}
                    None => out.push(format!("{prefix}{part}")),
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// A path in `module` from the crate's root, `/client/net/Origin`; `None` for what is not ours.
fn absolute(module: &str, path: &str, files: &Files) -> Option<String> {
    let first = path.split("::").next()?;
    let child = files.contains_key(&format!("{module}/{first}"));
    let mut base = (child || matches!(first, "self" | "super")).then(|| module.to_owned());
    if first == "crate" {
        base = Some(String::new());
    }
    for name in path.split("::") {
        match name.split(" as ").next()? {
            "crate" | "self" => {}
            "super" => {
                let end = base.as_ref()?.rfind('/')?;
                base.as_mut()?.truncate(end);
            }
            name => base.as_mut()?.extend(["/", name]),
        }
    }
    base
}

/// Who imports whom. What is re-exported counts where it is defined.
fn imports(files: &Files) -> BTreeSet<(&str, &str)> {
    let (mut named, mut given) = (Vec::new(), BTreeMap::new());
    for (module, code) in files {
        for (at, word) in ["use ", "crate::", "super::"]
            .iter()
            .flat_map(|word| code.match_indices(word))
        {
            let tree = code[at..].trim_start_matches("use ");
            let end = tree
                .find(|c: char| !c.is_alphanumeric() && !"_: ".contains(c))
                .unwrap();
            let end = if tree[end..].starts_with('{') {
                tree.find(';').unwrap_or(end)
            } else {
                end
            };
            let mut paths = Vec::new();
            expand("", &tree[..end], &mut paths);
            for path in paths
                .iter()
                .filter_map(|path| absolute(module, path, files))
            {
                if code[..at].ends_with("pub ") && word == "use " {
                    let name = path.rsplit('/').next().unwrap();
                    // A module may have the name of what it gives: that one is imported by its path.
                    let (name, there) = (format!("{module}/{name}"), path.clone());
                    given.extend((!files.contains_key(&name)).then_some((name, there)));
                } else if !code[..at].ends_with("pub use ") && !code[..at].ends_with("(in ") {
                    named.push((module.as_str(), path));
                }
            }
        }
    }
    let defined = |path: String| {
        let mut path = path;
        loop {
            let given = up(&path).find_map(|part| given.get_key_value(part));
            let Some((from, to)) = given else { break };
            path = [to, &path[from.len()..]].concat();
        }
        up(&path).find_map(|part| Some(files.get_key_value(part)?.0.as_str()))
    };
    let all = named
        .into_iter()
        .filter_map(|(module, path)| Some((module, defined(path)?)));
    all.filter(|(module, there)| module != there).collect()
}

/// A path and what is around it, from the inside out.
fn up(path: &str) -> impl Iterator<Item = &str> {
    Path::new(path).ancestors().filter_map(Path::to_str)
}

/// The line of ARCHITECTURE.md's list on which each module, or the folder around it, stands.
fn listed(files: &Files) -> BTreeMap<String, usize> {
    let (mut listed, mut folder) = (BTreeMap::new(), String::new());
    let lines = include_str!("../ARCHITECTURE.md").lines().enumerate();
    for (number, line) in lines.filter(|(_, line)| line.starts_with("    ")) {
        for word in line
            .split_whitespace()
            .filter(|word| word.contains(".rs") || word.ends_with('/'))
        {
            let name = format!("/{}", word.trim_end_matches('/').trim_end_matches(".rs"));
            if !line.starts_with("     ") && files.contains_key(&name) {
                folder.clone_from(&name);
                listed.insert(name, number);
            } else if folder == "/client" {
                // Other folders' lines group files by what they are about; these are in order as well.
                listed.insert(format!("{folder}{name}"), number);
            }
        }
    }
    listed
}

#[test]
fn imports_run_down_the_list_and_never_in_a_circle() {
    let mut files = Files::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut files,
    );
    let (imports, listed) = (imports(&files), listed(&files));
    let line = |module| {
        up(module)
            .find_map(|part| listed.get(part))
            .unwrap_or_else(|| panic!("{module} is not listed"))
    };
    let wrong: Vec<_> = imports
        .iter()
        .filter(|(from, to)| line(from) > line(to))
        .map(|(from, to)| format!("{from} imports {to} above it"))
        .collect();
    let mut circles = Vec::new();
    for file in files.keys().map(String::as_str) {
        let (mut seen, mut next) = (HashSet::new(), vec![file]);
        while let Some(from) = next.pop() {
            let there = imports
                .iter()
                .filter(|(importer, _)| *importer == from)
                .map(|(_, to)| *to);
            next.extend(there.filter(|to| seen.insert(*to)));
        }
        if seen.contains(file) {
            circles.push(file);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        circles, CIRCLES,
        "circles of files, and those that are allowed"
    );
}
