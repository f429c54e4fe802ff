//! Questions that no key has called up: a login, a certificate, a file to be repaired, an address. They wait while a line is typed or
//! a box is open, for what is typed then is meant for that.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    Popup, State,
    event::Fingerprint,
    popup::Ask,
    prompt::{Kind, Prompt},
};
use crate::client;

/// For so long a question takes no answer: whoever typed as it came up has not read it.
const UNREAD: Duration = Duration::from_millis(600);
/// Begins the notice of a question that waits.
const WAITS: &str = "a question waits: ";

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// A login.
    Login {
        /// Why, escaped.
        reason: String,
        /// Which server, where there are several.
        at: Option<String>,
    },
    /// Whether a certificate is the server's own.
    Certificate(Fingerprint),
    /// Whether a file is to be repaired.
    Repair(Box<Ask>),
    /// Which server.
    Address,
}

impl Question {
    /// What it is about, escaped.
    fn about(&self) -> String {
        match self {
            Self::Login { reason, .. } => reason.clone(),
            Self::Certificate(seen) if seen.known.is_some() => {
                format!("{} shows another certificate than before", seen.host)
            }
            Self::Certificate(seen) => format!("{} is not known here yet", seen.host),
            Self::Repair(ask) => ask.question.clone(),
            Self::Address => "which server to go to".to_owned(),
        }
    }

    /// Whether it is what a server asks; `at` tells which one wants a login.
    fn is(&self, asked: &client::Question, at: Option<&str>) -> bool {
        match self {
            Self::Login { at: one, .. } => {
                matches!(asked, client::Question::Login(_)) && one.as_deref() == at
            }
            Self::Certificate(shown) => shown.is(asked),
            Self::Repair(_) | Self::Address => false,
        }
    }
}

/// Those that wait, and how long the one that is open has been.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: VecDeque<Question>,
    /// Until when the one that is open takes no answer.
    unread: Option<Instant>,
}

impl State {
    /// Whether what is open takes answers: a question that came up by itself does not at once.
    pub fn takes_answers(&self) -> bool {
        self.questions.unread.is_none()
    }

    /// Whether a question waits for the end of what is open.
    pub fn has_questions(&self) -> bool {
        !self.questions.waiting.is_empty()
    }

    /// Takes the questions about files away where nobody is there to answer; what is said instead.
    pub fn unasked(&mut self) -> Vec<String> {
        let open = self
            .popup
            .take_if(|popup| matches!(popup, Popup::Ask(_)))
            .into_iter()
            .filter_map(|popup| match popup {
                Popup::Ask(ask) => Some(ask.unasked),
                _ => None,
            });
        let (files, others) = std::mem::take(&mut self.questions.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|question| matches!(question, Question::Repair(_)));
        self.questions.waiting = others.into();
        let files = files.into_iter().filter_map(|question| match question {
            Question::Repair(ask) => Some(ask.unasked),
            _ => None,
        });
        open.chain(files).collect()
    }

    /// Asks as soon as neither a line nor a box is open.
    pub(super) fn ask(&mut self, question: Question) {
        if self.is_asked(&question) {
            return;
        }
        if self.prompt.is_some() || self.popup.is_some() {
            self.complain(format!("{WAITS}{}", question.about()));
            if let Some(notice) = &mut self.notice {
                notice.stays();
            }
        }
        self.questions.waiting.push_back(question);
    }

    /// Whether the same is asked already: several connections ask the same, and one may have been under way when it was answered.
    fn is_asked(&self, question: &Question) -> bool {
        let mut waiting = self.questions.waiting.iter();
        let kind = self.prompt.as_ref().map(|prompt| prompt.kind);
        match question {
            Question::Login { at, .. } => {
                let typed = matches!(kind, Some(Kind::User | Kind::Password));
                typed && self.login_at == *at
                    || waiting
                        .any(|other| matches!(other, Question::Login { at: one, .. } if one == at))
            }
            Question::Certificate(seen) => {
                self.trusted.as_ref() == Some(seen)
                    || matches!(&self.popup, Some(Popup::Trust(open)) if open == seen)
                    || waiting
                        .any(|other| matches!(other, Question::Certificate(one) if one == seen))
            }
            Question::Repair(ask) => {
                let same = |other: &Ask| other.question == ask.question && other.ends == ask.ends;
                matches!(&self.popup, Some(Popup::Ask(open)) if same(open))
                    || waiting.any(|other| matches!(other, Question::Repair(one) if same(one)))
            }
            Question::Address => {
                kind == Some(Kind::Address)
                    || waiting.any(|other| matches!(other, Question::Address))
            }
        }
    }

    /// Opens the question that has waited longest, where nothing else is open.
    pub(super) fn ask_next(&mut self) {
        if self.prompt.is_some() || self.popup.is_some() {
            return;
        }
        let Some(question) = self.questions.waiting.pop_front() else {
            return;
        };
        self.dirty = true;
        self.questions.unread = None;
        self.forget_waiting();
        match question {
            Question::Login { reason, at } => self.ask_login(reason, at),
            Question::Certificate(seen) => self.popup = Some(Popup::Trust(seen)),
            Question::Repair(ask) => self.popup = Some(Popup::Ask(*ask)),
            // No key that is typed here does anything but write an address.
            Question::Address => return self.ask_address(),
        }
        self.questions.unread = self.now.map(|now| now + UNREAD);
    }

    /// Takes answers once the question could be read.
    pub(super) fn let_answer(&mut self, now: Instant) {
        if self
            .questions
            .unread
            .take_if(|until| *until <= now)
            .is_some()
        {
            self.dirty = true;
        }
    }

    /// Takes back what a server asked, be it open: it was answered elsewhere. `at` tells which one wanted a login; what another
    /// asks stays.
    pub(super) fn forget_answered(&mut self, asked: &client::Question, at: Option<&str>) {
        let waiting = &mut self.questions.waiting;
        let before = waiting.len();
        waiting.retain(|question| !question.is(asked, at));
        if waiting.len() < before {
            self.forget_waiting();
        }
        let open = match asked {
            client::Question::Login(_) => self.login_at.as_deref() == at && self.forget_login(),
            client::Question::Certificate { .. } => {
                let same =
                    |popup: &mut Popup| matches!(popup, Popup::Trust(open) if open.is(asked));
                self.popup.take_if(same).is_some()
            }
        };
        if open {
            // The rest of what is being typed is no key of a pane.
            self.questions.unread = self.now.map(|now| now + UNREAD);
        }
    }

    /// Takes back all questions about the server that is left, those that are open too: their answers must not go to another.
    pub(super) fn forget_questions(&mut self) {
        self.questions = Questions::default();
        self.forget_waiting();
        let of_it = |popup: &mut Popup| matches!(popup, Popup::Trust(_) | Popup::Ask(_));
        self.popup.take_if(of_it);
        self.forget_login();
    }

    /// Closes the line that a login is typed into; whether there was one.
    fn forget_login(&mut self) -> bool {
        let of_it = |prompt: &mut Prompt| matches!(prompt.kind, Kind::User | Kind::Password);
        let open = self.prompt.take_if(of_it).is_some();
        if open {
            (self.login_user, self.login_at) = (None, None);
            self.notice = None;
        }
        open
    }

    fn forget_waiting(&mut self) {
        self.notice.take_if(|notice| notice.text.starts_with(WAITS));
    }
}
