//! Boxes over the panes that take all keys: help, questions, details, the QR code.

use std::{borrow::Cow, path::PathBuf};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    State,
    cursor::{Cursor, Motion},
    effect::{Effect, Order},
    event::{Ending, Fingerprint},
    help::{Help, Item},
    keymap::Action,
    prompt::Kind,
    search::Search,
    servers::Servers,
};
use crate::{
    client::{ItemId, Want},
    http1::path::RemotePath,
    server::ClientId,
};

/// A box over the panes that takes all keys.
#[derive(Debug)]
pub enum Popup {
    /// Keys and commands.
    Help(Help),
    /// Whether to quit, and what runs, escaped.
    Quit(Vec<String>),
    /// Whether to do something to a client or a file.
    Ask(Ask),
    /// Details of something.
    Info(Subject),
    /// The URLs as QR codes, and which of them is shown.
    Qr {
        /// At least one.
        urls: Vec<String>,
        /// The one that is shown.
        at: usize,
    },
    /// Bookmarks, and servers that were used before.
    Places(Cursor),
    /// Servers that are heard, and those that were used before.
    Servers(Servers),
    /// A search in a whole tree.
    Search(Box<Search>),
    /// What is marked, in all directories.
    Marks(Cursor),
    /// Whether a certificate is the server's own; or that it is not the one known.
    Trust(Fingerprint),
}

/// A question about a client or a file.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What it is about, in a word.
    pub title: &'static str,
    /// The question, escaped.
    pub question: String,
    /// What that would end, or what is known of it, escaped.
    pub ends: Vec<String>,
    /// What follows from it.
    pub note: Cow<'static, str>,
    /// The word for yes.
    pub yes: &'static str,
    /// What is done then.
    pub then: Then,
    /// What is said then; nothing where an answer says it.
    pub done: Option<String>,
    /// What is said instead where nobody is there to answer.
    pub unasked: String,
}

/// What is done where a question is answered with yes.
#[derive(Debug, Clone)]
pub enum Then {
    /// This, by the server.
    Serve(Order),
    /// A file is brought up to date.
    Update {
        /// Which.
        want: Want,
        /// Where it is, if not in the target directory.
        to: Option<PathBuf>,
    },
}

/// What details are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An entry of the directory that is shown, or of the served one.
    Entry(RemotePath),
    /// A transfer.
    Item(ItemId),
    /// A client.
    Client(ClientId),
    /// A line of the log, by its number.
    Line(u64),
}

impl State {
    /// A key while a box is open.
    pub(super) fn popup_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let yes = matches!(key.code, KeyCode::Char('y' | 'Y') | KeyCode::Enter);
        let no = matches!(key.code, KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc)
            || (control && matches!(key.code, KeyCode::Char('c' | 'g')));
        match &mut self.popup {
            Some(Popup::Help(_)) => self.help_key(key, control),
            Some(Popup::Search(_)) => self.search_key(key),
            Some(Popup::Places(_)) => self.places_key(key, no),
            Some(Popup::Servers(_)) => self.servers_key(key, no),
            Some(Popup::Marks(_)) => self.marks_key(key, no),
            Some(Popup::Quit(_)) => self.quit_key(key, control),
            Some(Popup::Ask(ask)) if yes => {
                let (then, done) = (ask.then.clone(), ask.done.clone());
                self.popup = None;
                if let Some(done) = done {
                    self.say(done);
                }
                vec![match then {
                    Then::Serve(order) => Effect::Serve(order),
                    Then::Update { want, to } => Effect::Get {
                        wants: vec![want],
                        to,
                        update: true,
                    },
                }]
            }
            // Enter is pressed at the end of a line: what is kept for ever takes a letter.
            Some(Popup::Trust(seen))
                if matches!(key.code, KeyCode::Char('y' | 'Y')) && seen.known.is_none() =>
            {
                let seen = seen.clone();
                self.popup = None;
                self.say(format!("{} is trusted from now on", seen.host));
                self.trusted = Some(seen.clone());
                vec![Effect::Trust(seen)]
            }
            // Nothing but leaving is left to do about a certificate that has changed.
            Some(Popup::Trust(seen)) if no || (yes && seen.known.is_some()) => {
                self.popup = None;
                vec![Effect::Disconnect]
            }
            Some(Popup::Qr { urls, at })
                if matches!(key.code, KeyCode::Tab | KeyCode::Right | KeyCode::Char('n')) =>
            {
                *at = (*at + 1) % urls.len().max(1);
                Vec::new()
            }
            Some(Popup::Qr { .. }) if key.code == KeyCode::Char('y') => self.copy_shown(),
            Some(Popup::Qr { .. }) if no || key.code == KeyCode::Char('Q') => self.close(),
            Some(Popup::Info(_))
                if no || matches!(key.code, KeyCode::Char('i') | KeyCode::Enter) =>
            {
                self.close()
            }
            Some(Popup::Info(_)) => {
                if let Some(motion) = motion_by_letters(key) {
                    self.scroll_preview(motion);
                }
                Vec::new()
            }
            Some(Popup::Ask(_)) if no => self.close(),
            _ => Vec::new(),
        }
    }

    pub(super) fn close(&mut self) -> Vec<Effect> {
        self.popup = None;
        Vec::new()
    }

    fn copy_shown(&mut self) -> Vec<Effect> {
        let Some(Popup::Qr { urls, at }) = &self.popup else {
            return Vec::new();
        };
        let Some(url) = urls.get(*at).cloned() else {
            return Vec::new();
        };
        self.say(format!("copied {url}"));
        vec![Effect::Copy(url)]
    }

    fn help_key(&mut self, key: KeyEvent, control: bool) -> Vec<Effect> {
        let Some(Popup::Help(help)) = &mut self.popup else {
            return Vec::new();
        };
        let motion = match key.code {
            KeyCode::Esc if !help.query.is_empty() => {
                help.query.clear();
                help.search();
                return Vec::new();
            }
            KeyCode::Esc | KeyCode::F(1) => return self.close(),
            KeyCode::Char('c' | 'g') if control => return self.close(),
            KeyCode::Char('?') if help.query.is_empty() => return self.close(),
            KeyCode::Enter => {
                let item = help.current();
                return self.run_help(item.as_ref());
            }
            KeyCode::Backspace => {
                help.query.pop();
                help.search();
                return Vec::new();
            }
            KeyCode::Char(c) if !control => {
                help.query.push(c);
                help.search();
                return Vec::new();
            }
            _ => match motion(key) {
                Some(motion) => motion,
                None => return Vec::new(),
            },
        };
        help.apply(motion);
        Vec::new()
    }

    /// Does what a line of the help screen describes.
    fn run_help(&mut self, item: Option<&Item>) -> Vec<Effect> {
        match item {
            Some(Item::Keys(binding, _)) if !matches!(binding.action, Action::Edit(_)) => {
                self.popup = None;
                self.act(binding.action)
            }
            Some(Item::Command(spec)) => {
                self.popup = None;
                let blank = if spec.usage.is_empty() { "" } else { " " };
                self.open_prompt(Kind::Command, &format!("{}{blank}", spec.name))
            }
            _ => Vec::new(),
        }
    }

    fn quit_key(&mut self, key: KeyEvent, control: bool) -> Vec<Effect> {
        match key.code {
            KeyCode::Char('c') if control && self.attached.is_some() => self.leave(),
            KeyCode::Char('c') if control => vec![Effect::Quit(Ending::Interrupted)],
            KeyCode::Char('y' | 'Y') | KeyCode::Enter => self.quit_now(),
            KeyCode::Char('n' | 'N') | KeyCode::Esc => self.close(),
            _ => Vec::new(),
        }
    }
}

/// The motion of a key in a box where letters are typed.
pub(super) fn motion(key: KeyEvent) -> Option<Motion> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Up => Motion::Up,
        KeyCode::Down | KeyCode::Tab => Motion::Down,
        KeyCode::PageUp => Motion::PageUp,
        KeyCode::PageDown => Motion::PageDown,
        KeyCode::Home => Motion::Top,
        KeyCode::End => Motion::Bottom,
        KeyCode::Char('p') if control => Motion::Up,
        KeyCode::Char('n') if control => Motion::Down,
        KeyCode::Char('u') if control => Motion::HalfUp,
        KeyCode::Char('d') if control => Motion::HalfDown,
        _ => return None,
    })
}

/// The same where no letters are typed: they move as in the panes.
pub(super) fn motion_by_letters(key: KeyEvent) -> Option<Motion> {
    let plain = !key
        .modifiers
        .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match key.code {
        KeyCode::Char('j') if plain => Some(Motion::Down),
        KeyCode::Char('k') if plain => Some(Motion::Up),
        KeyCode::Char('g') if plain => Some(Motion::Top),
        KeyCode::Char('G') if plain => Some(Motion::Bottom),
        _ => motion(key),
    }
}
