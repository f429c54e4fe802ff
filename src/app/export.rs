//! A pane's list as text: a row a line, columns separated by tabs, names as they are shown.

use std::path::PathBuf;

use super::{
    Pane, State, View,
    clients::{Row, label, running},
    connect::local,
    effect::Effect,
    log::level_word,
};
use crate::{
    client::{ItemState, ItemView},
    entry::Entry,
    escape::display_name,
    server::ClientView,
};

impl State {
    /// Writes the focused pane's list to a file that is not there yet.
    pub(super) fn export(&mut self, file: &str) -> Result<Vec<Effect>, String> {
        let (here, home) = match &self.view {
            View::Serve(view) => (PathBuf::from("."), view.facts.home.clone()),
            View::Connect(view) => (view.dir().to_owned(), view.facts.home.clone()),
        };
        let path = local(file, &here, home.as_ref());
        if file.is_empty() {
            return Err("export: a file's name is missing".into());
        }
        let text = self.table();
        Ok(vec![Effect::Export { path, text }])
    }

    /// The focused pane's list.
    fn table(&self) -> String {
        match (self.filtered(), &self.view) {
            (Pane::Log, _) => self.log_lines(),
            (Pane::Transfers, View::Connect(view)) => {
                let rows = 0..view.rows.len();
                let rows = rows.filter(|row| view.file(*row).is_none());
                let rows = rows.filter_map(|row| view.row(row));
                let rows = rows.map(|item| transfer(view.name(item), item));
                lines(&["state", "done", "total", "name"], rows)
            }
            (Pane::Files, View::Serve(view)) => entries(view.files.listing.shown()),
            (_, View::Connect(view)) => entries(view.remote.listing.shown()),
            (_, View::Serve(view)) => {
                let clients = &view.snapshot.clients;
                let of = |row: &Row| clients.iter().find(|client| client.id == row.client);
                let rows = view.rows.iter().filter(|row| row.path().is_none());
                let rows = rows.filter_map(of).map(client);
                lines(
                    &["client", "address", "agent", "sent", "files", "running"],
                    rows,
                )
            }
        }
    }

    fn log_lines(&self) -> String {
        let shown = (0..self.log.counts().0).filter_map(|row| self.log.line(row));
        let rows = shown.map(|line| {
            vec![
                line.time.to_string(),
                level_word(line.level).to_owned(),
                line.who.clone(),
                line.text.clone(),
            ]
        });
        lines(&["time", "level", "who", "what"], rows)
    }
}

fn entries<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    let rows = entries.map(|entry| {
        let modified = entry
            .modified
            .and_then(|time| jiff::Timestamp::try_from(time).ok());
        vec![
            entry.size.map_or_else(String::new, |size| size.to_string()),
            modified.map_or_else(String::new, |time| time.to_string()),
            format!(
                "{}{}",
                display_name(&entry.name),
                if entry.is_dir { "/" } else { "" }
            ),
        ]
    });
    lines(&["size", "modified", "name"], rows)
}

fn transfer(name: &[u8], item: &ItemView) -> Vec<String> {
    let state = match &item.state {
        ItemState::Queued => "queued",
        ItemState::Active => "active",
        ItemState::Paused => "paused",
        ItemState::Waiting(_) => "waiting",
        ItemState::Landing => "checking",
        ItemState::Finished(verified) => verified.word(),
        ItemState::Failed(_) => "failed",
        ItemState::Cancelled => "cancelled",
    };
    vec![
        state.to_owned(),
        item.done.to_string(),
        item.total
            .map_or_else(String::new, |total| total.to_string()),
        display_name(name).into_owned(),
    ]
}

fn client(client: &ClientView) -> Vec<String> {
    let files: Vec<_> = running(client)
        .map(|t| display_name(t.path.as_bytes()).into_owned())
        .collect();
    vec![
        display_name(&label(client)).into_owned(),
        client.address.to_string(),
        display_name(client.agent.as_deref().unwrap_or_default()).into_owned(),
        client.sent.to_string(),
        client.files.to_string(),
        files.join(", "),
    ]
}

fn lines(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = heading.join("\t");
    text.push('\n');
    for row in rows {
        text.push_str(&row.join("\t"));
        text.push('\n');
    }
    text
}
