//! What each action of the keymap does.

use super::{
    Pane, Popup, State, View,
    command::Target,
    cursor::Motion,
    effect::{Control, Effect},
    event::Ending,
    help::Help,
    keymap::Action,
    listing::Listing,
    prompt::Kind,
};
use crate::{
    client::{ItemState, Link},
    config::ThemeName,
    escape::display_name,
};

/// Names that the question before quitting shows; the rest is counted.
const NAMED: usize = 6;

impl State {
    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        if !matches!(action, Action::Move(_)) {
            self.forget_complaint();
        }
        if let Some(reason) = self.unlisted(action) {
            self.complain(reason);
            return Vec::new();
        }
        match action {
            Action::Help => {
                let connect = matches!(self.view, View::Connect(_));
                let mut help = Help::new(connect, self.scopes(), &self.keymap);
                help.cursor.set_page(self.layout.help, help.items.len());
                help.apply(Motion::Top);
                self.popup = Some(Popup::Help(help));
            }
            Action::Command => return self.open_prompt(Kind::Command, ""),
            Action::Filter => {
                let filter = self.filter().to_owned();
                return self.open_prompt(Kind::Filter(self.filtered()), &filter);
            }
            Action::NextPane => self.step_pane(1),
            Action::PreviousPane => self.step_pane(3),
            Action::Pane(number) => {
                let panes = self.view.panes();
                if let Some(pane) = panes.get(usize::from(number)) {
                    self.focus_on(*pane);
                }
            }
            Action::Zoom => self.zoomed = !self.zoomed,
            Action::Theme => self.next_theme(),
            Action::Copy => return self.copy(),
            Action::Redraw => return vec![Effect::Redraw],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Back => return self.back(),
            Action::Quit => return self.quit(false),
            Action::Detach => {
                return self.detach().unwrap_or_else(|reason| {
                    self.complain(reason);
                    Vec::new()
                });
            }
            Action::Interrupt if self.attached.is_some() => return self.leave(),
            Action::Interrupt => self.popup = Some(Popup::Quit(self.running())),
            Action::Follow => self.log.toggle_follow(),
            Action::Wrap => self.log.wrap = !self.log.wrap,
            Action::LessLog => self.log.step_level(false),
            Action::MoreLog => self.log.step_level(true),
            Action::Unfold | Action::Fold => {
                let only_fold = action == Action::Fold;
                match &mut self.view {
                    View::Serve(view) => view.unfold(only_fold),
                    View::Connect(view) => view.unfold(only_fold),
                }
            }
            Action::Move(motion) => match (self.focus, &mut self.view) {
                (Pane::Log, _) => self.log.apply(motion),
                (Pane::Remote, View::Connect(view)) => view.remote.listing.apply(motion),
                (Pane::Transfers, View::Connect(view)) => view.apply(motion),
                (Pane::Clients, View::Serve(view)) => view.apply(motion),
                (Pane::Files, View::Serve(view)) => view.files.listing.apply(motion),
                _ => {}
            },
            Action::Sort | Action::Reverse => return self.sort(action == Action::Reverse),
            Action::Open | Action::Up | Action::Hidden => return self.browse(action),
            Action::Mark | Action::Range | Action::MarkAll => self.mark(action),
            Action::Marks => self.show_marks(),
            Action::Previous => return self.previous(),
            Action::Bookmark => return self.bookmark(),
            Action::Places => self.show_places(),
            Action::Count => return self.count(),
            Action::Search => return self.show_search(),
            Action::Info => return self.show_info(),
            Action::Limit => return self.ask_limit(),
            Action::LimitOne => return self.ask_limit_one(),
            Action::Qr => self.show_qr(),
            Action::PauseClient => return self.pause_client(),
            Action::Kick | Action::Ban => self.ask_to_remove(action == Action::Ban),
            Action::Refresh => return self.refresh(),
            _ => return self.transfer(action),
        }
        Vec::new()
    }

    /// Why an action for rows of a directory does nothing: none of them is to be seen.
    fn unlisted(&self, action: Action) -> Option<&'static str> {
        let of_rows = match action {
            Action::Copy => self.focus == Pane::Remote,
            Action::Open
            | Action::Mark
            | Action::Range
            | Action::MarkAll
            | Action::Download
            | Action::Update
            | Action::Count
            | Action::Info => matches!(self.focus, Pane::Remote | Pane::Files),
            _ => false,
        };
        let browser = match &self.view {
            View::Connect(view) => &view.remote,
            View::Serve(view) => &view.files,
        };
        if !of_rows || !browser.is_unlisted() {
            return None;
        }
        Some(match browser.read {
            Some(_) => "nothing is listed: h goes back, r tries again",
            None => "nothing is listed: r tries again",
        })
    }

    /// What failed before something else was done is no news any more.
    pub(super) fn forget_complaint(&mut self) {
        let old = |notice: &mut super::Notice| notice.bad && notice.until.is_some();
        self.notice.take_if(old);
    }

    fn step_pane(&mut self, by: u8) {
        let panes = self.view.panes();
        let at = self.number(self.focus).saturating_sub(1);
        self.focus_on(panes[usize::from((at + by) % 4)]);
    }

    pub(super) fn focus_on(&mut self, pane: Pane) {
        self.focus = pane;
        if matches!(pane, Pane::Log | Pane::Throughput | Pane::Files) {
            self.shared = pane;
        }
    }

    fn next_theme(&mut self) {
        self.looks.chosen = true;
        self.looks.theme = match self.looks.theme {
            ThemeName::Dark => ThemeName::Light,
            ThemeName::Light => ThemeName::Ansi,
            ThemeName::Ansi => ThemeName::Mono,
            ThemeName::Mono => ThemeName::Dark,
        };
        let word = theme_word(self.looks.theme);
        self.say(format!("theme {word}"));
    }

    pub(super) fn copy(&mut self) -> Vec<Effect> {
        let text = match &self.view {
            View::Serve(view) => view.facts.urls.first().cloned(),
            View::Connect(view) => view.url.as_ref().map(|url| {
                let mut text = url.as_str().trim_end_matches('/').to_owned();
                let path = match view.remote.current() {
                    Some(entry) if self.focus == Pane::Remote => {
                        let path = view.remote.path.join(&entry.name);
                        path.map(|p| if entry.is_dir { p.into_dir() } else { p })
                    }
                    _ => Ok(view.remote.path.clone()),
                };
                text.push_str(&path.unwrap_or_default().to_target());
                text
            }),
        };
        let Some(text) = text else {
            self.complain("there is no URL to copy yet");
            return Vec::new();
        };
        self.say(format!("copied {}", display_name(&text)));
        vec![Effect::Copy(text)]
    }

    /// The list whose entries are marked, where it has the keys.
    fn marking(&mut self) -> Option<&mut Listing> {
        match &mut self.view {
            View::Connect(view) if self.focus == Pane::Remote => Some(&mut view.remote.listing),
            _ => None,
        }
    }

    fn back(&mut self) -> Vec<Effect> {
        if self.marking().is_some_and(Listing::end_range) {
            return Vec::new();
        }
        // Before the marks: what was marked here and there in filtered lists is one choice.
        if !self.filter().is_empty() {
            return self.set_filter(self.filtered(), "");
        }
        if self.marking().is_some() && self.browser().unmark_all() {
            return Vec::new();
        }
        if self.zoomed {
            self.zoomed = false;
        } else {
            self.notice = None;
        }
        Vec::new()
    }

    pub(super) fn quit(&mut self, force: bool) -> Vec<Effect> {
        let running = self.running();
        // What runs elsewhere goes on without this screen, and ends where that was meant.
        let leaves = match self.attached {
            Some(_) => !force,
            None => force || running.is_empty(),
        };
        if leaves {
            return self.leave();
        }
        self.popup = Some(Popup::Quit(running));
        Vec::new()
    }

    /// The answer to the question before quitting is yes.
    pub(super) fn quit_now(&mut self) -> Vec<Effect> {
        let Some(name) = &self.attached else {
            return self.leave();
        };
        let text = format!("{name} was told to end");
        self.popup = None;
        self.say(text);
        vec![Effect::Stop]
    }

    /// Leaves what runs to go on by itself.
    pub(super) fn detach(&self) -> Result<Vec<Effect>, String> {
        match &self.view {
            _ if self.attached.is_some() => Ok(self.leave()),
            View::Serve(_) => Err(
                "detach: a server keeps its terminal: under systemd or nohup it needs none".into(),
            ),
            View::Connect(_) if !self.script.is_empty() => {
                Err("detach: lines of the script follow, and nobody would run them".into())
            }
            View::Connect(view) => Ok(vec![Effect::Detach {
                lcd: view.lcd.clone(),
            }]),
        }
    }

    /// Quits; whoever wrote a script learns that it did not run to its end.
    pub(super) fn leave(&self) -> Vec<Effect> {
        vec![Effect::Quit(if self.script_failed {
            Ending::ScriptFailed
        } else {
            Ending::Quit
        })]
    }

    /// What quitting would stop, escaped; the first few by name.
    fn running(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.view {
            View::Connect(view) => {
                let running = view.running();
                running
                    .iter()
                    .map(|name| display_name(name).into_owned())
                    .collect()
            }
            View::Serve(view) => view
                .running()
                .iter()
                .map(|(who, path)| {
                    format!("{} · {}", display_name(who), display_name(path.as_bytes()))
                })
                .collect(),
        };
        if names.len() > NAMED {
            let more = names.len() - NAMED + 1;
            names.truncate(NAMED - 1);
            names.push(format!("and {more} more"));
        }
        names
    }

    fn browse(&mut self, action: Action) -> Vec<Effect> {
        let on_file = matches!(&self.view, View::Connect(view)
            if view.remote.listing.current().is_some_and(|entry| !entry.is_dir));
        let browser = self.browser();
        let effect = match action {
            Action::Open => browser.enter(),
            Action::Up => browser.up(),
            _ => {
                let job = browser.listing.rearrange(|a| a.hidden = !a.hidden);
                let shown = browser.listing.arrangement().hidden;
                self.say(if shown {
                    "names with a dot are shown"
                } else {
                    "names with a dot are hidden"
                });
                return job.map(Effect::Arrange).into_iter().collect();
            }
        };
        if action == Action::Open && effect.is_none() && on_file {
            self.say("a file: `d` downloads it");
        }
        effect.into_iter().collect()
    }

    fn previous(&mut self) -> Vec<Effect> {
        let effect = self.browser().back();
        if effect.is_none() {
            self.complain("there is no directory to go back to");
        }
        effect.into_iter().collect()
    }

    fn mark(&mut self, action: Action) {
        let View::Connect(view) = &mut self.view else {
            return;
        };
        let listing = &mut view.remote.listing;
        match action {
            Action::Mark => listing.mark_and_step(),
            Action::Range => listing.toggle_range(),
            _ => listing.mark_all(),
        }
    }

    /// What is done to transfers, and to the link.
    fn transfer(&mut self, action: Action) -> Vec<Effect> {
        let target = match self.transfer_of(action) {
            Ok(target) => target,
            Err(reason) => {
                self.complain(reason);
                return Vec::new();
            }
        };
        let View::Connect(view) = &mut self.view else {
            return Vec::new();
        };
        let result = match action {
            Action::Download | Action::Update => match view.download(action == Action::Update) {
                Ok(effects) => Ok(effects),
                Err(reason) => {
                    self.complain(reason);
                    return Vec::new();
                }
            },
            Action::Pause => {
                let paused = view
                    .chosen(target)
                    .is_some_and(|item| item.state == ItemState::Paused);
                let control = if paused {
                    Control::Resume
                } else {
                    Control::Pause
                };
                view.control(target, control)
            }
            // What the notice at the start has promised.
            Action::PauseAll if std::mem::take(&mut view.undo.restored) => view
                .control(Target::All, Control::Resume)
                .or_else(|_| view.control(Target::All, Control::Pause)),
            Action::PauseAll => view
                .control(Target::All, Control::Pause)
                .or_else(|_| view.control(Target::All, Control::Resume)),
            Action::Cancel => view.cancel(target),
            Action::MoveUp => view.control(Target::Current, Control::Reorder(-1)),
            Action::MoveDown => view.control(Target::Current, Control::Reorder(1)),
            Action::First => {
                let first = view.chosen(target).is_some_and(|item| item.first);
                view.control(target, Control::First(!first))
            }
            Action::Retry => view.control(target, Control::Retry),
            Action::RetryAll => view.control(Target::All, Control::Retry),
            Action::Clear => view.clear(),
            Action::Undo => return self.undo(),
            _ => Ok(Vec::new()),
        };
        match result {
            Ok(effects) => {
                if let Some(told) = view.told(&effects, true) {
                    self.say(told);
                }
                effects
            }
            Err(reason) => {
                self.complain(reason);
                Vec::new()
            }
        }
    }

    pub(super) fn refresh(&mut self) -> Vec<Effect> {
        let view = match &mut self.view {
            View::Connect(view) => view,
            View::Serve(view) => return vec![view.files.refresh()],
        };
        if view.url.is_none() {
            self.ask_address();
            return Vec::new();
        }
        let mut effects: Vec<_> = self.forget_sums().into_iter().collect();
        let View::Connect(view) = &mut self.view else {
            return effects;
        };
        if !matches!(view.snapshot.link, Link::Up | Link::Connecting) {
            effects.push(Effect::RetryNow);
        }
        effects.push(view.remote.refresh());
        effects
    }
}

/// The word for a theme in notices and in `:theme`.
pub(super) const fn theme_word(theme: ThemeName) -> &'static str {
    match theme {
        ThemeName::Dark => "dark",
        ThemeName::Light => "light",
        ThemeName::Ansi => "ansi",
        ThemeName::Mono => "mono",
    }
}
