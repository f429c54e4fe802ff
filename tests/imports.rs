//! ARCHITECTURE.md lists the modules from the top down: imports run down that list, and never in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::modules::{Files, imports, read, up};

/// Files that still import each other in circles. Whoever opens one strikes its files off; none is added.
const CIRCLES: &str = "app/command app/command/parse \
    ui/bars ui/clients ui/clients/columns ui/details ui/files ui/files/columns ui/files/words \
    ui/help ui/popup ui/prompt ui/qr ui/remote ui/transfers ui/transfers/row";

/// The line of ARCHITECTURE.md's list on which a module stands.
fn listed(files: &Files) -> BTreeMap<String, usize> {
    let (mut listed, mut folder) = (BTreeMap::new(), String::new());
    let list = include_str!("../ARCHITECTURE.md").lines().enumerate();
    for (number, line) in list.filter(|(_, line)| line.starts_with("    ")) {
        for word in line.split_whitespace() {
            let name = word.trim_end_matches('/').trim_end_matches(".rs");
            if name != word && !line.starts_with("     ") && files.contains_key(name) {
                name.clone_into(&mut folder);
                listed.insert(folder.clone(), number);
            } else if name != word && folder == "client" {
                // Other folders' lines group files by what they are about; these are in order as well.
                listed.insert(format!("{folder}/{name}"), number);
            }
        }
    }
    listed
}

#[test]
fn imports_run_down_the_list_and_never_in_a_circle() {
    let mut files = Files::new();
    read("src".into(), &mut files);
    let (imports, listed) = (imports(&files), listed(&files));
    assert!(imports.len() > files.len(), "hardly any import was found");
    let line = |module| {
        let line = up(module).find_map(|part| listed.get(part));
        line.unwrap_or_else(|| panic!("{module} is not listed"))
    };
    let mut wrong = imports.clone();
    wrong.retain(|(from, to)| line(from) > line(to));
    assert!(wrong.is_empty(), "these import what is above: {wrong:?}");
    let in_a_circle = |file: &&str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![*file]);
        while let Some(from) = next.pop() {
            let there = imports.iter().filter(|(importer, _)| *importer == from);
            next.extend(there.map(|(_, to)| *to).filter(|to| seen.insert(*to)));
        }
        seen.contains(file)
    };
    let circles = files.keys().map(String::as_str).filter(in_a_circle);
    let allowed: Vec<_> = CIRCLES.split(' ').collect();
    assert_eq!(circles.collect::<Vec<_>>(), allowed, "circles of files");
}
