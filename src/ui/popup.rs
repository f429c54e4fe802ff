//! Boxes over the panes.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    details::Sheet,
    frame::{Form, Frame, Slot},
    help, qr,
    text::{add, broken, fill, put, width},
    theme::Theme,
};
use crate::app::{Popup, State, View, event::Fingerprint, popup::Ask};

/// Draws the box that is open, if one is.
pub fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    match &state.popup {
        Some(Popup::Help(open)) => help::draw(open, theme, area, buf),
        Some(Popup::Info(subject)) => Sheet::new(state, subject, theme, area).draw(theme, buf),
        Some(Popup::Qr { urls, at }) => {
            qr::draw(urls, *at, state.looks.theme, theme, area, buf);
        }
        _ => {}
    }
    if let Some(question) = Question::open(state, theme) {
        question.draw(theme, area, buf);
    }
}

/// A question: what is asked, what it is about, and the keys that answer it.
pub struct Question<'a> {
    title: &'a str,
    lines: Vec<(Cow<'a, str>, Style)>,
    answers: Vec<(&'static str, &'a str)>,
}

/// Whether to quit, and what that would stop.
fn quit<'a>(state: &State, running: &'a [String], theme: &Theme) -> Question<'a> {
    let serve = matches!(state.view, View::Serve(_));
    let after = |text| if running.is_empty() { "" } else { text };
    if state.attached.is_some() {
        let (question, after) = if serve {
            ("End the server?", after("They get ten seconds to finish."))
        } else {
            ("End these downloads?", after("What is here is kept."))
        };
        return Question::new("End", question, running, after, theme)
            .answered(vec![("y", "end it"), ("n", "stay")]);
    }
    let (question, after) = match (running.is_empty(), serve) {
        (true, _) => ("Quit?", ""),
        (false, true) => (
            "Quit while these are served?",
            "They get ten seconds to finish.",
        ),
        (false, false) => ("Quit while these run?", "What is here is kept."),
    };
    Question::new("Quit", question, running, after, theme)
        .answered(vec![("y", "quit"), ("n", "stay")])
}

/// Whether to kick or ban a client, or to repair a file.
fn ask<'a>(ask: &'a Ask, theme: &Theme) -> Question<'a> {
    Question::new(ask.title, &ask.question, &ask.ends, &ask.note, theme)
        .answered(vec![("y", ask.yes), ("n", "leave it")])
}

/// Whether a certificate is the server's own, as ssh asks; a changed one is refused.
fn trust<'a>(seen: &'a Fingerprint, theme: &Theme) -> Question<'a> {
    let mut lines: Vec<(Cow<'a, str>, Style)> = Vec::new();
    let mut say = |text: Cow<'a, str>, style: Style| lines.push((text, style));
    let Some(known) = &seen.known else {
        say(
            format!("{} is not known here yet. Its certificate:", seen.host).into(),
            theme.strong,
        );
        say("".into(), theme.text);
        for half in halves(&seen.seen) {
            say(half.into(), theme.warn);
        }
        say("".into(), theme.text);
        say(
            "Compare it with what the server's screen shows.".into(),
            theme.dim,
        );
        return Question {
            title: "Trust this server?",
            lines,
            answers: vec![("y", "trust it from now on"), ("n", "leave")],
        };
    };
    say(
        format!("{} shows another certificate than before.", seen.host).into(),
        theme.bad,
    );
    say(
        "Someone may be listening in. Nothing was sent.".into(),
        theme.bad,
    );
    say("".into(), theme.text);
    say("known".into(), theme.dim);
    for half in halves(known) {
        say(half.into(), theme.good);
    }
    say("shown now".into(), theme.dim);
    for half in halves(&seen.seen) {
        say(half.into(), theme.bad);
    }
    say("".into(), theme.text);
    say(
        "If the server was set up anew: haul connect --fingerprint with the one its screen shows."
            .into(),
        theme.dim,
    );
    Question {
        title: "Refused",
        lines,
        answers: vec![("Esc", "leave the server")],
    }
}

/// A fingerprint in two rows of sixteen bytes: people compare it row by row, and a byte is never broken in two.
fn halves(fingerprint: &str) -> [&str; 2] {
    const HALF: usize = "00:".len() * 16;
    fingerprint
        .split_at_checked(HALF)
        .map_or([fingerprint, ""], |(first, second)| [first, second])
}

impl<'a> Question<'a> {
    /// The one that is asked, if one is.
    pub fn open(state: &'a State, theme: &Theme) -> Option<Self> {
        let mut question = match state.popup.as_ref()? {
            Popup::Quit(running) => quit(state, running, theme),
            Popup::Ask(asked) => ask(asked, theme),
            Popup::Trust(seen) => trust(seen, theme),
            _ => return None,
        };
        if !state.takes_answers() {
            question.answers.clear();
        }
        Some(question)
    }

    fn new(
        title: &'a str,
        question: &'a str,
        about: &'a [String],
        note: &'a str,
        theme: &Theme,
    ) -> Self {
        let mut lines = vec![(question.into(), theme.strong)];
        lines.extend(
            about
                .iter()
                .map(|text| (format!("  {text}").into(), theme.warn)),
        );
        if !about.is_empty() && !note.is_empty() {
            lines.push(("".into(), theme.dim));
        }
        if !note.is_empty() {
            lines.push((note.into(), theme.dim));
        }
        Self {
            title,
            lines,
            answers: Vec::new(),
        }
    }

    fn answered(self, answers: Vec<(&'static str, &'a str)>) -> Self {
        Self { answers, ..self }
    }

    /// Cells that a line may take.
    fn room(&self, area: Rect) -> usize {
        let texts = self.lines.iter().map(|(text, _)| width(text) + 6);
        let cells = texts.chain([34]).max().unwrap_or(34).min(76);
        cells.min(usize::from(area.width)).saturating_sub(6).max(1)
    }

    /// Its lines, none wider than there is room for.
    fn broken(&self, area: Rect) -> Vec<(&str, Style)> {
        let room = self.room(area);
        let lines = self.lines.iter();
        lines
            .flat_map(|(text, style)| broken(text, room).into_iter().map(|part| (part, *style)))
            .collect()
    }

    /// The whole box.
    pub fn place(&self, area: Rect) -> Slot {
        let (cells, rows) = (self.room(area) + 6, self.broken(area).len() + 4);
        Slot {
            area: middle(area, cells as u16, rows as u16),
            form: Form::Boxed,
        }
    }

    /// Where each answer begins, with its key and word: in the last row, which is in sight however little room there is.
    pub fn answers(&self, area: Rect) -> Vec<(u16, u16, &'static str, &str)> {
        let inner = self.place(area).inner();
        let (mut x, y) = (add(inner.x, 2), inner.bottom().saturating_sub(1));
        let answers = self.answers.iter();
        answers
            .map(|(key, word)| {
                let at = x;
                x = add(x, width(key) + width(word) + 4);
                (at, y, *key, *word)
            })
            .collect()
    }

    fn draw(&self, theme: &Theme, area: Rect, buf: &mut Buffer) {
        let (slot, room) = (self.place(area), self.room(area));
        clear(buf, slot.area, theme);
        let frame = Frame {
            title: self.title,
            focused: true,
            ..Frame::default()
        };
        let inner = frame.draw(slot, theme, buf);
        for (row, (text, style)) in self.broken(area).iter().enumerate() {
            let y = add(inner.y, row);
            if y < inner.bottom() {
                put(buf, add(inner.x, 2), y, room, text, *style);
            }
        }
        let row = Rect {
            y: inner.bottom().saturating_sub(1),
            height: 1,
            ..inner
        };
        fill(buf, row, " ", theme.ground);
        for (x, y, key, word) in self.answers(area) {
            let x = put(buf, x, y, room, key, theme.accent);
            put(buf, add(x, 1), y, room, word, theme.soft);
        }
    }
}

/// A box of that size in the middle of an area, as far as it has room.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}

/// Empties an area; a wide character that reaches into it from the left goes whole.
pub fn clear(buf: &mut Buffer, area: Rect, theme: &Theme) {
    let area = area.intersection(*buf.area());
    if let Some(x) = area.x.checked_sub(1).filter(|x| *x >= buf.area().x) {
        for y in area.y..area.bottom() {
            if width(buf[(x, y)].symbol()) > 1 {
                put(buf, x, y, 1, " ", Style::new());
            }
        }
    }
    fill(buf, area, " ", theme.ground);
}
