//! Details of an entry, a transfer, a client or a line of the log, as they are at this moment.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    bars::at,
    frame::{Form, Frame, Slot, scrollbar},
    popup::{clear, middle},
    text::{add, broken, fill, fit, put, shown, width},
    theme::Theme,
};
use crate::{
    app::{
        State, View,
        browser::Browser,
        here::Here,
        log::level_word,
        popup::Subject,
        preview::{Preview, Shown},
        survey::Sum,
    },
    client::{ItemId, ItemState},
    http1::path::RemotePath,
    progress::percent,
    server::{ClientId, TransferState},
    units,
};

/// Cells of the labels' column.
const LABEL: usize = 13;

/// A label and what belongs to it.
type Fact = (&'static str, String);

/// The box, and what stands in it.
pub struct Sheet<'a> {
    /// Where it is.
    pub slot: Slot,
    /// What keys do here, in the lower border.
    pub hints: &'static str,
    title: &'static str,
    rows: Vec<Fact>,
    preview: Option<&'a Preview>,
}

impl<'a> Sheet<'a> {
    /// The box for `subject`, in the middle of `area`.
    pub fn new(state: &'a State, subject: &Subject, theme: &Theme, area: Rect) -> Self {
        let (title, facts) = match subject {
            Subject::Entry(path) => ("Entry", entry(state, path, theme)),
            Subject::Item(id) => ("Transfer", item(state, *id, theme)),
            Subject::Client(id) => ("Client", client(state, *id, theme)),
            Subject::Line(seq) => ("Log line", line(state, *seq)),
        };
        let widest = facts.iter().map(|(_, text)| width(text)).max().unwrap_or(0);
        let cells = (widest + LABEL + 6)
            .clamp(40, 90)
            .min(usize::from(area.width));
        let room = cells.saturating_sub(LABEL + 6).max(1);
        let rows: Vec<Fact> = facts
            .iter()
            .flat_map(|(label, text)| {
                let mut label = *label;
                broken(text, room)
                    .into_iter()
                    .map(move |part| (std::mem::take(&mut label), part.to_owned()))
            })
            .collect();
        let preview = state
            .preview
            .as_ref()
            .filter(|preview| matches!(subject, Subject::Entry(path) if *path == preview.path));
        // A rule, and as many lines as there are and have room.
        let lines = preview.map_or(0, |preview| preview.shown.lines().len().max(1) + 1);
        let cells = if lines > 0 {
            90.min(usize::from(area.width))
        } else {
            cells
        };
        // A long file leaves something of what is behind in sight.
        let facts = rows.len() as u16 + 2;
        let height = add(facts, lines).min(facts.max(area.height.saturating_sub(4)));
        Self {
            slot: Slot {
                area: middle(area, cells as u16, height),
                form: Form::Boxed,
            },
            hints: if lines > 2 {
                "j k scroll · Esc closes"
            } else {
                "Esc closes"
            },
            title,
            rows,
            preview,
        }
    }

    /// Draws it.
    pub fn draw(&self, theme: &Theme, buf: &mut Buffer) {
        clear(buf, self.slot.area, theme);
        let frame = Frame {
            title: self.title,
            bottom_right: vec![(self.hints.into(), theme.dim)],
            focused: true,
            ..Frame::default()
        };
        let inner = frame.draw(self.slot, theme, buf);
        let room = usize::from(inner.width).saturating_sub(LABEL + 2);
        let rows = self.rows.iter().take(usize::from(inner.height));
        for (row, (label, text)) in rows.enumerate() {
            let (x, y) = (add(inner.x, 2), add(inner.y, row));
            put(buf, x, y, LABEL - 1, label, theme.dim);
            put(buf, add(x, LABEL), y, room, text, theme.text);
        }
        if let Some(preview) = self.preview {
            let (_, below) = super::cut(inner, self.rows.len() as u16);
            draw_preview(preview, theme, below, buf);
        }
    }
}

/// A file's beginning below its details.
fn draw_preview(preview: &Preview, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let (rule, list) = super::cut(area, 1);
    if list.is_empty() {
        return;
    }
    let cells = usize::from(area.width).saturating_sub(4);
    let (x, lines) = (add(area.x, 2), preview.shown.lines());
    let rule = Rect {
        x,
        width: cells as u16,
        ..rule
    };
    fill(buf, rule, theme.glyphs.horizontal, theme.border);
    let (word, style) = match &preview.shown {
        Shown::Waiting => ("fetching its beginning".into(), theme.warn),
        Shown::Failed(reason) => (format!("no preview: {reason}"), theme.bad),
        Shown::Text(lines) if lines.is_empty() => ("it is empty".into(), theme.dim),
        Shown::Text(_) | Shown::Hex(_) => (String::new(), theme.text),
    };
    put(buf, x, list.y, cells, &fit(&word, cells, theme), style);
    let window = preview.top..lines.len().min(preview.top + usize::from(list.height));
    for (row, line) in lines[window.clone()].iter().enumerate() {
        let line = fit(line, cells, theme);
        put(buf, x, add(list.y, row), cells, &line, theme.soft);
    }
    scrollbar(buf, list, &window, lines.len(), theme);
}

fn gone() -> Vec<Fact> {
    vec![("", "it is no longer there".to_owned())]
}

fn entry(state: &State, path: &RemotePath, theme: &Theme) -> Vec<Fact> {
    let browser: &Browser = match &state.view {
        View::Connect(view) => &view.remote,
        View::Serve(view) => &view.files,
    };
    let name = path.name();
    let Some(entry) = browser.listing.entries().iter().find(|e| e.name == name) else {
        return gone();
    };
    let mut facts = vec![
        ("name", shown(&entry.name).into_owned()),
        ("path", format!("/{}", shown(path.as_bytes()))),
    ];
    if entry.is_dir {
        facts.push(("kind", "directory".into()));
        facts.extend(counted(browser.sums.of(path), theme));
    }
    facts.extend(entry.size.map(|size| ("size", bytes(size))));
    if let Some(time) = entry
        .modified
        .and_then(|t| jiff::Timestamp::try_from(t).ok())
    {
        facts.push(("changed", at(state, time, "%Y-%m-%d %H:%M:%S")));
    }
    match entry.blake3 {
        Some(hash) => facts.push(("blake3", hash.to_hex().to_string())),
        None if !entry.is_dir => facts.push(("digest", "not told yet".into())),
        None => {}
    }
    facts.extend(on_disk(state, path, theme));
    facts.extend(here(state, path, theme));
    facts
}

/// What the disk has of an entry.
fn on_disk(state: &State, path: &RemotePath, theme: &Theme) -> Option<Fact> {
    let View::Connect(view) = &state.view else {
        return None;
    };
    let glyphs = theme.glyphs;
    let text = match view.remote.listing.here_of(path.name())? {
        Here::Nothing => "nothing".to_owned(),
        Here::Directory => "a directory of that name".to_owned(),
        Here::Part => format!("{} a part: d goes on with it", glyphs.half),
        Here::Whole { dated: true } => format!("{} same size and date", glyphs.done),
        Here::Whole { dated: false } => format!("{} same size", glyphs.done),
        Here::Other(size) => format!("another of that name, {}", bytes(size)),
    };
    Some(("here", text))
}

/// What came of fetching an entry, and how often it was taken.
fn here(state: &State, path: &RemotePath, theme: &Theme) -> Option<Fact> {
    match &state.view {
        View::Connect(view) => {
            let item = view.item_for(path)?;
            let state = super::transfers::word(item, theme);
            let percent = view.figures(item).percent;
            let percent = percent.filter(|_| !item.state.is_ended());
            let text = percent.map_or_else(|| state.clone(), |p| format!("{state} {p}%"));
            Some(("transfer", text.trim().to_owned()))
        }
        View::Serve(view) => {
            let count = view.downloads.get(path).copied().unwrap_or(0);
            Some(("taken", format!("{} times", units::count(count))))
        }
    }
}

/// What is in a directory, as far as it was counted.
fn counted(sum: Option<Sum>, theme: &Theme) -> Vec<Fact> {
    let Some(sum) = sum else {
        return vec![("holds", "not counted yet: * counts".into())];
    };
    let least = if sum.more { theme.glyphs.at_least } else { "" };
    vec![
        ("size", format!("{least}{}", bytes(sum.bytes))),
        ("files", format!("{least}{}", units::count(sum.files))),
    ]
}

fn bytes(size: u64) -> String {
    if size < 1024 {
        return units::size(size);
    }
    format!("{} ({} bytes)", units::size(size), units::count(size))
}

fn item(state: &State, id: ItemId, theme: &Theme) -> Vec<Fact> {
    let View::Connect(view) = &state.view else {
        return gone();
    };
    let Some(item) = view.snapshot.items.iter().find(|item| item.id == id) else {
        return gone();
    };
    let figures = view.figures(item);
    let mut facts = vec![("name", shown(view.name(item)).into_owned())];
    let word = super::transfers::word(item, theme);
    facts.push((
        "state",
        if word.is_empty() {
            "active".into()
        } else {
            word
        },
    ));
    if let ItemState::Waiting(reason) | ItemState::Failed(reason) = &item.state {
        facts.push(("why", shown(reason).into_owned()));
    }
    facts.push((
        if item.is_kept() { "kept" } else { "received" },
        match figures.total {
            Some(total) => format!("{} of {}", units::size(item.done), bytes(total)),
            None => units::size(item.done),
        },
    ));
    if let Some(files) = item.files {
        let more = if files.listed { "" } else { ", still listing" };
        let failed = match files.failed {
            0 => String::new(),
            n => format!(", {} failed", units::count(n)),
        };
        let (done, found) = (units::count(files.done), units::count(files.found));
        facts.push(("files", format!("{done} of {found}{failed}{more}")));
    }
    if item.state == ItemState::Active {
        facts.push(("rate", units::rate(figures.rate)));
        facts.push(("left", super::text::left(figures.left)));
    }
    if item.first && !item.state.is_ended() {
        facts.push(("queue", "first: before all others".into()));
    }
    if let Some(limit) = item.limit.filter(|_| !item.state.is_ended()) {
        facts.push(("limit", units::rate(limit.0)));
    }
    if item.connections > 0 {
        facts.push(("connections", item.connections.to_string()));
    }
    if let sources @ [_, _, ..] = view.snapshot.sources.as_slice() {
        for (i, source) in sources.iter().enumerate() {
            let what = match &source.dropped {
                Some(reason) => shown(reason).into_owned(),
                None => units::size(source.received),
            };
            let label = if i == 0 { "mirrors" } else { "" };
            facts.push((
                label,
                format!("{} {} {what}", shown(&source.url), theme.glyphs.dot),
            ));
        }
    }
    if let Some(url) = &view.url {
        let url = format!(
            "{}{}",
            url.as_str().trim_end_matches('/'),
            item.path.to_target()
        );
        facts.push(("url", shown(&url).into_owned()));
    }
    if let Some(led) = &item.led {
        facts.push(("leads to", shown(led).into_owned()));
    }
    facts
}

fn client(state: &State, id: ClientId, theme: &Theme) -> Vec<Fact> {
    let View::Serve(view) = &state.view else {
        return gone();
    };
    let Some(client) = view.snapshot.clients.iter().find(|c| c.id == id) else {
        return gone();
    };
    let mut facts = Vec::new();
    facts.extend(
        client
            .name
            .as_ref()
            .map(|name| ("name", shown(name).into_owned())),
    );
    facts.push(("number", format!("#{}", client.id.0)));
    facts.push(("address", client.address.to_string()));
    facts.extend(
        client
            .agent
            .as_ref()
            .map(|agent| ("agent", shown(agent).into_owned())),
    );
    if let Some(since) = super::clients::since(state, client.since) {
        facts.push(("since", since));
    }
    facts.push(("connections", client.connections.to_string()));
    facts.push(("sent", bytes(client.sent)));
    facts.push((
        "files",
        format!("{} taken whole", units::count(client.files)),
    ));
    let limit = client
        .limit
        .map_or_else(|| "off".to_owned(), |rate| rate.to_string());
    facts.push(("limit", limit));
    if client.paused {
        facts.push(("paused", "p lets it go on".into()));
    }
    if let Some((reason, _)) = &client.refused {
        facts.push(("refused", shown(reason).into_owned()));
    }
    let running = client
        .transfers
        .iter()
        .filter(|t| t.state == TransferState::Active);
    for (i, transfer) in running.take(8).enumerate() {
        let percent = percent(transfer.done, Some(transfer.total)).unwrap_or(0);
        let label = if i == 0 { "fetches" } else { "" };
        let path = shown(transfer.path.as_bytes());
        facts.push((
            label,
            format!("{:>3}% {} {path}", percent.min(99), theme.glyphs.dot),
        ));
    }
    facts
}

fn line(state: &State, seq: u64) -> Vec<Fact> {
    let Some(line) = state.log.numbered(seq) else {
        return gone();
    };
    vec![
        ("time", at(state, line.time, "%Y-%m-%d %H:%M:%S%.3f")),
        ("level", level_word(line.level).to_owned()),
        ("who", line.who.clone()),
        ("what", line.text.clone()),
    ]
}
