//! What each `:` command does.

use super::{
    GlyphSet, Pane, State, View,
    act::theme_word,
    command::{Command, Place, Setting, SortBy, Target, parse},
    connect::Connect,
    effect::{Control, Effect},
    keymap::Action,
    serve::ClientSort,
};
use crate::escape::display_name;

impl State {
    /// Runs a line as it is typed after `:`; what is wrong with it is said.
    pub(super) fn run_line(&mut self, line: &str) -> Vec<Effect> {
        self.forget_complaint();
        let connect = matches!(self.view, View::Connect(_));
        let command = match parse(line, connect) {
            Ok(Some(command)) => command,
            Ok(None) => return Vec::new(),
            Err(reason) => {
                self.complain(reason);
                return Vec::new();
            }
        };
        self.run(command).unwrap_or_else(|reason| {
            self.complain(reason);
            Vec::new()
        })
    }

    fn run(&mut self, command: Command) -> Result<Vec<Effect>, String> {
        match command {
            Command::Help => return Ok(self.act(Action::Help)),
            Command::Quit { force } => return Ok(self.quit(force)),
            Command::Copy => return Ok(self.act(Action::Copy)),
            Command::Theme(None) => self.say(format!("theme {}", theme_word(self.looks.theme))),
            Command::Theme(Some(theme)) => {
                self.looks.theme = theme;
                self.looks.chosen = true;
            }
            Command::Log(level) => self.log.set_level(level),
            Command::Detach => return self.detach(),
            Command::Servers => return Ok(self.show_servers()),
            Command::Filter(text) => return Ok(self.set_filter(self.filtered(), &text)),
            Command::Sort { by, descending } => return self.sort_by(by, descending),
            Command::Ls => return Ok(self.refresh()),
            Command::Set(setting) => return Ok(self.set(setting)),
            Command::Info => return Ok(self.act(Action::Info)),
            Command::Export(file) => return self.export(&file),
            Command::Limit { who: None, rate } => return Ok(self.limit_all(rate)),
            Command::LimitCurrent(rate) => return self.limit_current(rate),
            command => {
                let View::Connect(view) = &mut self.view else {
                    return self.run_serve(command);
                };
                let effects = run_connect(view, command)?;
                if let Some(told) = view.told(&effects, false) {
                    self.say(told);
                }
                return Ok(effects);
            }
        }
        Ok(Vec::new())
    }

    /// Runs a line of a script. The first one that fails ends it: what follows was meant for after it.
    pub(super) fn run_script(&mut self, (line, place): &(String, String)) -> Vec<Effect> {
        self.script_at = Some(place.clone());
        self.notice = None;
        let effects = self.run_line(line);
        if let Some(notice) = self.notice.clone().filter(|notice| notice.bad) {
            self.script_fails(&notice.text);
        }
        effects
    }

    /// What the script's last line asked for did not come about: the rest of it is left out.
    pub(super) fn script_fails(&mut self, reason: &str) {
        let Some(place) = self.script_at.clone() else {
            return;
        };
        // What is typed later is no business of the script's.
        self.script_at = None;
        self.script.clear();
        self.script_failed = true;
        self.complain(format!("{place}: {reason}"));
        if let Some(notice) = &mut self.notice {
            notice.stays();
        }
    }

    fn set(&mut self, setting: Setting) -> Vec<Effect> {
        match setting {
            Setting::Ascii(true) if self.looks.glyphs == GlyphSet::SevenBit => {}
            Setting::Ascii(true) => self.looks.glyphs = GlyphSet::Ascii,
            Setting::Ascii(false) => self.looks.glyphs = GlyphSet::Unicode,
            Setting::Wrap(on) => self.log.wrap = on,
            Setting::Follow(on) => {
                if self.log.follow != on {
                    self.log.toggle_follow();
                }
            }
            Setting::Hidden(on) => {
                let job = self.browser().listing.rearrange(|a| a.hidden = on);
                return job.map(Effect::Arrange).into_iter().collect();
            }
        }
        Vec::new()
    }

    /// Sorts what has the focus by the next key, or turns its order round.
    pub(super) fn sort(&mut self, reverse: bool) -> Vec<Effect> {
        if let (Pane::Clients, View::Serve(view)) = (self.filtered(), &mut self.view) {
            if reverse {
                view.sort_by(view.sort, !view.reversed);
            } else {
                view.sort_next();
            }
            return Vec::new();
        }
        let why = match self.filtered() {
            Pane::Transfers => "transfers stand in the order in which they begin: J and K move one",
            Pane::Log => "the log stands in the order of time",
            _ => "",
        };
        if !why.is_empty() {
            self.complain(why);
            return Vec::new();
        }
        let listing = &mut self.browser().listing;
        let job = if reverse {
            listing.reverse()
        } else {
            listing.sort_next()
        };
        job.map(Effect::Arrange).into_iter().collect()
    }

    fn sort_by(&mut self, by: SortBy, descending: bool) -> Result<Vec<Effect>, String> {
        match (by, &mut self.view) {
            (SortBy::Entries(key), _) => {
                let job = self.browser().listing.rearrange(|a| {
                    a.key = key;
                    a.descending = descending;
                });
                Ok(job.map(Effect::Arrange).into_iter().collect())
            }
            (SortBy::Rate, View::Serve(view)) => {
                view.sort_by(ClientSort::Rate, !descending);
                Ok(Vec::new())
            }
            (SortBy::Rate, View::Connect(_)) => {
                Err("sort: files have no rate: name, size or age".into())
            }
        }
    }
}

fn run_connect(view: &mut Connect, command: Command) -> Result<Vec<Effect>, String> {
    let none = |reason: &'static str| reason.to_owned();
    match command {
        Command::Connect(target) => Ok(vec![Effect::Connect(target)]),
        Command::Disconnect => Ok(vec![Effect::Disconnect]),
        Command::Verify(file) => view.verify(&file).map(|effect| vec![effect]),
        Command::Get { patterns, to } => Ok(view.get(patterns, to)),
        Command::Cd(dir) => match view.remote.resolve(&dir) {
            Some(path) => Ok(vec![view.remote.open(path)]),
            None => Err(format!(
                "cd: `{}` is no directory's name",
                display_name(&dir)
            )),
        },
        Command::Lcd(dir) => Ok(vec![Effect::Lcd(view.local(&dir))]),
        Command::Move(place) => {
            let control = match place {
                Place::Up => Control::Reorder(-1),
                Place::Down => Control::Reorder(1),
                Place::First => Control::First(true),
            };
            view.control(Target::Current, control).map_err(none)
        }
        Command::Cancel(target) => view.cancel(target).map_err(none),
        Command::Pause(target) => view.control(target, Control::Pause).map_err(none),
        Command::Resume(target) => view.control(target, Control::Resume).map_err(none),
        Command::Retry(target) => view.control(target, Control::Retry).map_err(none),
        Command::Clear => view.clear().map_err(none),
        _ => Ok(Vec::new()),
    }
}
