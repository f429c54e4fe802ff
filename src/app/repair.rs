//! A file that is here and not the server's: what of it, and whether it is to be repaired.

use super::{
    State, View,
    effect::Effect,
    event::LocalFile,
    popup::{Ask, Then},
    questions::Question,
};
use crate::{
    client::{Damage, Want},
    escape::display_name,
    pieces, units,
};

/// Runs of pieces that are named; the others are counted.
const NAMED: usize = 8;

impl State {
    /// A file here does not have the server's digest: what of it differs is asked for, where the server has values of its pieces.
    pub(super) fn differs(&mut self, file: LocalFile) -> Vec<Effect> {
        let View::Connect(view) = &self.view else {
            return Vec::new();
        };
        if view.url.as_ref() != Some(&file.server) {
            // Its server was left.
            return Vec::new();
        }
        let mut entries = view.remote.listing.entries().iter();
        let listed = entries.find(|entry| view.remote.path_of(entry).as_ref() == Some(&file.path));
        let Some(size) = listed.and_then(|entry| entry.size) else {
            return vec![Effect::FindDamage(file)];
        };
        if pieces::value_count(size) > 0 {
            return vec![Effect::FindDamage(file)];
        }
        let damage = Damage {
            size,
            pieces: (0..pieces::count(size)).collect(),
            resized: false,
        };
        self.damaged(file, Ok(damage));
        Vec::new()
    }

    /// It is known what differs: whether to repair it is asked.
    pub(super) fn damaged(&mut self, file: LocalFile, result: Result<Damage, String>) {
        let View::Connect(view) = &self.view else {
            return;
        };
        if view.url.as_ref() != Some(&file.server) {
            return;
        }
        // Where it is, and not where downloads go by now.
        let to = file.target().filter(|to| *to != view.facts.dir);
        let path = file.path;
        let shown = display_name(path.as_bytes()).into_owned();
        let damage = match result {
            Ok(damage) => damage,
            Err(reason) => {
                let reason = format!("verify: {shown}: {reason}");
                self.script_fails(&reason);
                return self.complain(reason);
            }
        };
        if damage.pieces.is_empty() && !damage.resized {
            return self.say(format!("{shown}: the file here is the server's, by BLAKE3"));
        }
        let fetched = match damage.bytes() {
            0 => "Nothing is fetched".to_owned(),
            bytes => format!("{} are fetched", units::size(bytes)),
        };
        let note = format!("{fetched}. The file here stays until the new one is whole.");
        let ends = said(&damage);
        let unasked = format!(
            "{shown}: the file here is not the server's: {}: --on-conflict update repairs it",
            ends.join(", ")
        );
        self.ask(Question::Repair(Box::new(Ask {
            title: "File",
            question: format!("Repair {shown}?"),
            ends,
            note: note.into(),
            yes: "repair it",
            then: Then::Update {
                to,
                want: Want::Path {
                    path,
                    size: Some(damage.size),
                },
            },
            done: None,
            unasked,
        })));
    }
}

/// What differs, a line each.
fn said(damage: &Damage) -> Vec<String> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for piece in &damage.pieces {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *piece => *last = *piece,
            _ => runs.push((*piece, *piece)),
        }
    }
    let named = runs.iter().take(NAMED);
    let mut named: Vec<String> = named
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first} to {last}"),
        })
        .collect();
    if runs.len() > NAMED {
        named.push("…".into());
    }
    let (wrong, all) = (damage.pieces.len() as u64, pieces::count(damage.size));
    let mut said = Vec::new();
    if wrong > 0 {
        said.push(format!(
            "{} of {} pieces of 1 MiB differ: {}",
            units::count(wrong),
            units::count(all.into()),
            named.join(", ")
        ));
    }
    if damage.resized {
        said.push(format!("it is not {} long", units::size(damage.size)));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_named_in_runs() {
        let of = |pieces: &[u32], resized| {
            said(&Damage {
                size: 100 << 20,
                pieces: pieces.to_vec(),
                resized,
            })
        };
        assert_eq!(
            of(&[0, 1, 2, 5, 6, 99], false),
            ["6 of 100 pieces of 1 MiB differ: 0 to 2, 5, 6, 99"]
        );
        assert_eq!(of(&[], true), ["it is not 100 MiB long"]);
        let many: Vec<u32> = (0..40).map(|n| n * 2).collect();
        assert!(of(&many, false)[0].ends_with("12, 14, …"));
    }
}
