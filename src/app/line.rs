//! The line that is typed: what its keys do, and what becomes of it.

use super::{
    State, View,
    command::Target,
    complete::completions,
    effect::Effect,
    keymap::Edit,
    prompt::{Kind, Outcome, Prompt},
};
use crate::{client::Question, credentials::Secret, escape::display_name};

impl State {
    pub(super) fn edit(&mut self, edit: Edit) -> Vec<Effect> {
        let Some(prompt) = &mut self.prompt else {
            return Vec::new();
        };
        match prompt.edit(edit, &self.history) {
            Outcome::Changed => self.typed(),
            Outcome::Kept => Vec::new(),
            Outcome::Accepted => self.accept(),
            Outcome::Cancelled => {
                let kind = prompt.kind;
                self.prompt = None;
                self.limited = Target::Current;
                match kind {
                    Kind::Filter(pane) => {
                        let before = std::mem::take(&mut self.filter_before);
                        self.set_filter(pane, &before)
                    }
                    // Without a login there is nothing to be had from this server.
                    Kind::User | Kind::Password => {
                        (self.login_user, self.login_at) = (None, None);
                        self.complain(
                            "no login: r asks again, :connect URL turns to another server",
                        );
                        Vec::new()
                    }
                    Kind::Command | Kind::Address => Vec::new(),
                }
            }
        }
    }

    /// The prompt's text changed.
    pub(super) fn typed(&mut self) -> Vec<Effect> {
        let (found, ask) = completions(self);
        let Some(prompt) = &mut self.prompt else {
            return Vec::new();
        };
        prompt.completions = found;
        if let Kind::Filter(pane) = prompt.kind {
            let text = prompt.text().to_owned();
            return self.set_filter(pane, &text);
        }
        ask.map(Effect::ListLocal).into_iter().collect()
    }

    fn accept(&mut self) -> Vec<Effect> {
        let Some(prompt) = self.prompt.take() else {
            return Vec::new();
        };
        match prompt.kind {
            Kind::Filter(_) => Vec::new(),
            Kind::Command => {
                let line = prompt.text().trim();
                if line.is_empty() {
                    return Vec::new();
                }
                let line = line.to_owned();
                let mut effects = Vec::new();
                if self.history.push(&line) && is_kept(&line) {
                    effects.push(Effect::Remember(line.clone()));
                }
                effects.extend(self.run_line(&line));
                self.limited = Target::Current;
                effects
            }
            Kind::User => {
                let user = prompt.text().trim().to_owned();
                if user.is_empty() || user.contains(':') {
                    self.complain("a user has a name, without a colon");
                    self.prompt = Some(Prompt::new(Kind::User, ""));
                } else {
                    self.login_user = Some(user);
                    self.prompt = Some(Prompt::new(Kind::Password, ""));
                }
                Vec::new()
            }
            Kind::Password => {
                let user = self.login_user.take().unwrap_or_default();
                let password = Secret::new(prompt.text());
                self.say(format!("logging in as {}", display_name(&user)));
                let at = self.login_at.take();
                if let View::Connect(view) = &mut self.view {
                    // Where it is refused, the next question for it is another one.
                    view.asked
                        .take_if(|(asked, by)| matches!(asked, Question::Login(_)) && *by == at);
                }
                vec![Effect::Login { user, password, at }]
            }
            Kind::Address => match super::command::address(prompt.text()) {
                Ok(target) => vec![Effect::Connect(target)],
                Err(reason) => {
                    self.complain(reason);
                    self.prompt = Some(Prompt::new(Kind::Address, prompt.text()));
                    Vec::new()
                }
            },
        }
    }

    pub(super) fn open_prompt(&mut self, kind: Kind, text: &str) -> Vec<Effect> {
        if matches!(kind, Kind::Filter(_)) {
            self.filter_before = self.filter().to_owned();
        }
        self.limited = Target::Current;
        self.prompt = Some(Prompt::new(kind, text));
        self.typed()
    }

    pub(super) fn ask_login(&mut self, reason: String, at: Option<String>) {
        let several = match &self.view {
            View::Connect(view) => view.snapshot.sources.len() > 1,
            View::Serve(_) => false,
        };
        self.complain(match &at {
            Some(at) if several => format!("{}: {reason}", display_name(at)),
            _ => reason,
        });
        if let Some(notice) = &mut self.notice {
            notice.stays();
        }
        (self.login_user, self.login_at) = (None, at);
        let user = match &self.view {
            View::Connect(view) => view.facts.user.clone().unwrap_or_default(),
            View::Serve(_) => String::new(),
        };
        self.prompt = Some(Prompt::new(Kind::User, &user));
    }
}

/// Whether a line may be kept on disk: not one that carries a password in a URL.
fn is_kept(line: &str) -> bool {
    !(line.contains("://") && line.contains('@'))
}
