//! What commands of `--run -` show that a screen shows all the time: a directory, the queue, the clients, the commands.

use super::changes::{count, state};
use crate::{
    app::{
        View,
        command::{self, Command, Setting},
        connect::Connect,
        serve::Serve,
    },
    client::{ItemState, ItemView},
    escape::display_name,
    units,
};

/// The directory that is listed: what it is, and its entries where `entries` says so.
pub(super) fn listing(view: &Connect, entries: bool) -> Vec<String> {
    let remote = &view.remote;
    let path = display_name(remote.path.as_bytes()).into_owned();
    let path = if path.is_empty() { "/" } else { &path };
    let shown = remote.listing.shown().count();
    let all = remote.listing.entries().len();
    let mut lines = vec![match shown {
        shown if shown == all => format!("in {path}: {} entries", units::count(all as u64)),
        shown => {
            let (shown, all) = (units::count(shown as u64), units::count(all as u64));
            format!("in {path}: {shown} of {all} entries")
        }
    }];
    if entries {
        lines.extend(remote.listing.shown().map(|entry| {
            let name = display_name(&entry.name);
            match entry.size {
                _ if entry.is_dir => format!("directory {name}/"),
                Some(size) => format!("file {name}, {}", units::size(size)),
                None => format!("file {name}"),
            }
        }));
    }
    lines
}

/// How everything stands.
pub(super) fn info(view: &View) -> Vec<String> {
    match view {
        View::Connect(view) if view.snapshot.items.is_empty() => vec!["no transfers".to_owned()],
        View::Connect(view) => {
            let items = view.snapshot.items.iter();
            items.map(|item| transfer(view, item)).collect()
        }
        View::Serve(view) => clients(view),
    }
}

fn transfer(view: &Connect, item: &ItemView) -> String {
    let name = display_name(view.name(item));
    let stands = match &item.state {
        ItemState::Active | ItemState::Landing => "under way".to_owned(),
        _ => state(item).unwrap_or_default(),
    };
    if item.state.is_ended() {
        return format!("{name}: {stands}");
    }
    let figures = view.figures(item);
    let amount = match figures.total {
        Some(total) => units::part_of(item.done, total),
        None => units::size(item.done),
    };
    let files = item.files.map_or_else(String::new, |files| {
        format!(", {} of {}", files.done, count(files.found))
    });
    let rate = match figures.rate {
        0 => String::new(),
        rate => format!(", {}", units::rate(rate)),
    };
    let left = figures.left.map_or_else(String::new, |left| {
        format!(", {} left", units::eta(Some(left)))
    });
    format!("{name}: {stands}, {amount}{files}{rate}{left}")
}

/// The clients that are here, and who is banned.
pub(super) fn clients(view: &Serve) -> Vec<String> {
    let here = view.snapshot.clients.iter().filter(|c| c.connections > 0);
    let mut lines: Vec<_> = here
        .map(|client| {
            let name = view.handle(client);
            let running = client.transfers.iter();
            let running = running.filter(|t| t.state == crate::server::TransferState::Active);
            let paused = if client.paused { ", paused" } else { "" };
            format!(
                "{}: {} connections, {} under way, took {}, {}{paused}",
                display_name(&name),
                client.connections,
                running.count(),
                count(client.files),
                units::size(client.sent),
            )
        })
        .collect();
    if lines.is_empty() {
        lines.push("no clients".to_owned());
    }
    let banned = view.snapshot.banned.iter();
    lines.extend(banned.map(|ban| format!("banned: {}", display_name(&ban.who))));
    lines
}

/// The commands that are taken here.
pub(super) fn help(connect: bool) -> Vec<String> {
    let specs = command::commands(connect).filter(|spec| {
        let screen = ["theme", "log", "copy", "qr"].contains(&spec.name);
        let list = ["sort", "filter", "set", "ls"].contains(&spec.name);
        !screen && (connect || !list)
    });
    specs
        .map(|spec| {
            let usage = plain(spec.usage);
            let usage = if usage.is_empty() {
                usage
            } else {
                format!(" {usage}")
            };
            format!("{}{usage}: {}", spec.name, spec.help)
        })
        .collect()
}

/// Whether nothing of it can be told by lines.
pub(super) fn is_of_a_screen(command: &Command, connect: bool) -> bool {
    match command {
        Command::Sort { .. }
        | Command::Filter(_)
        | Command::Set(Setting::Hidden(_))
        | Command::Ls => !connect,
        Command::Theme(_)
        | Command::Log(_)
        | Command::Copy
        | Command::Qr
        | Command::Detach
        | Command::Set(_) => true,
        _ => false,
    }
}

/// The signs of usages and of what is said of them in ASCII.
pub(super) fn plain(text: &str) -> String {
    text.replace(" · ", ": ").replace('…', "...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_usages_are_ascii() {
        for connect in [true, false] {
            for line in help(connect) {
                assert!(line.is_ascii(), "{line}");
            }
            for spec in command::commands(connect) {
                let wrong = format!("{} --x --y --z", spec.name);
                if let Err(why) = command::parse(&wrong, connect) {
                    assert!(plain(&why).is_ascii(), "{why}");
                }
            }
        }
    }
}
