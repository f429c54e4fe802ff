//! What each `:` command does.

use super::{
    State, View,
    act::theme_word,
    command::{Command, SortBy, parse},
    connect::Connect,
    event::{Control, Effect},
    keymap::Action,
    serve::ClientSort,
};
use crate::escape::display_name;

impl State {
    /// Runs a line as it is typed after `:`; what is wrong with it is said.
    pub(super) fn run_line(&mut self, line: &str) -> Vec<Effect> {
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
            Command::Copy => return Ok(self.copy()),
            Command::Theme(None) => self.say(format!("theme {}", theme_word(self.looks.theme))),
            Command::Theme(Some(theme)) => self.looks.theme = theme,
            Command::Log(level) => self.log.set_level(level),
            Command::Filter(text) => return Ok(self.set_filter(&text)),
            Command::Sort { by, descending } => return self.sort_by(by, descending),
            Command::Ls => return Ok(self.refresh()),
            command => {
                let View::Connect(view) = &mut self.view else {
                    return Ok(Vec::new());
                };
                let effects = run_connect(view, command)?;
                let added = effects
                    .iter()
                    .filter(|e| matches!(e, Effect::Get { .. }))
                    .count();
                if added > 0 {
                    self.say(format!("{added} added to the queue"));
                }
                return Ok(effects);
            }
        }
        Ok(Vec::new())
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
        Command::Get { patterns, to } => Ok(view.get(patterns, to)),
        Command::Cd(dir) => match view.remote.resolve(&dir) {
            Some(path) => Ok(vec![view.remote.open(path)]),
            None => Err(format!(
                "cd: `{}` is no directory's name",
                display_name(&dir)
            )),
        },
        Command::Lcd(dir) => {
            view.lcd = Some(view.local(&dir));
            Ok(Vec::new())
        }
        Command::Cancel(target) => view.control(target, Control::Cancel).map_err(none),
        Command::Pause(target) => view.control(target, Control::Pause).map_err(none),
        Command::Resume(target) => view.control(target, Control::Resume).map_err(none),
        Command::Retry(target) => view.control(target, Control::Retry).map_err(none),
        Command::Clear => Ok(vec![Effect::ClearEnded]),
        _ => Ok(Vec::new()),
    }
}
