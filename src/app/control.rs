//! Details, limits, and what the serve dashboard does to its server.

use std::path::{Path, PathBuf};

use super::{
    Pane, Popup, State, View,
    clients::{address, label, running},
    command::{Command, quoted},
    effect::{Control, Effect, Order},
    keymap::Action,
    popup::{Ask, Subject, Then},
    prompt::Kind,
    serve::Serve,
};
use crate::{
    escape::{display_name, display_path},
    server::{ClientId, ClientView},
    units::Rate,
};

/// What a client is told that is kicked without a reason.
const KICKED: &str = "no reason given";
/// Files that a question names; the rest is counted.
const NAMED: usize = 4;

impl State {
    /// Shows details of what is current in the focused pane; asks for a file's beginning.
    pub(super) fn show_info(&mut self) -> Vec<Effect> {
        self.preview = None;
        let subject = match (self.focus, &self.view) {
            (Pane::Log, _) => self
                .log
                .line(self.log.cursor().at())
                .map(|line| Subject::Line(line.seq)),
            (Pane::Transfers, View::Connect(view)) => {
                view.item().map(|item| Subject::Item(item.id))
            }
            (_, View::Connect(view)) => entry(&view.remote),
            (Pane::Files, View::Serve(view)) => entry(&view.files),
            (_, View::Serve(view)) => view.current().map(|client| Subject::Client(client.id)),
        };
        match subject {
            Some(subject) => self.popup = Some(Popup::Info(subject)),
            None => self.complain("there is nothing here to tell details of"),
        }
        self.ask_preview().into_iter().collect()
    }

    /// Begins a `:limit` line; the current client's name is in it where clients have the keys.
    pub(super) fn ask_limit(&mut self) -> Vec<Effect> {
        let line = match &self.view {
            View::Serve(view) if self.focus == Pane::Clients => match view.current() {
                Some(client) => format!("limit {} ", quoted(&view.handle(client))),
                None => "limit all ".to_owned(),
            },
            View::Serve(_) => "limit all ".to_owned(),
            View::Connect(_) => "limit ".to_owned(),
        };
        self.open_prompt(Kind::Command, &line)
    }

    /// Begins the command that limits the current transfer, where that can be.
    pub(super) fn ask_limit_one(&mut self) -> Vec<Effect> {
        let target = self.transfer_of(Action::LimitOne);
        let View::Connect(view) = &self.view else {
            return Vec::new();
        };
        let fits = target.and_then(|target| {
            view.control(target, Control::Limit(None))?;
            Ok(target)
        });
        match fits {
            Ok(target) => {
                let effects = self.open_prompt(Kind::Command, "limit this ");
                self.limited = target;
                effects
            }
            Err(reason) => {
                self.complain(reason);
                Vec::new()
            }
        }
    }

    /// Limits the current transfer alone.
    pub(super) fn limit_current(&mut self, rate: Option<Rate>) -> Result<Vec<Effect>, String> {
        let View::Connect(view) = &self.view else {
            return Ok(Vec::new());
        };
        let effects = view.control(self.limited, Control::Limit(rate))?;
        let name = view
            .chosen(self.limited)
            .map(|item| display_name(view.name(item)).into_owned());
        self.say(limited(&name.unwrap_or_default(), rate));
        Ok(effects)
    }

    /// Limits everything together.
    pub(super) fn limit_all(&mut self, rate: Option<Rate>) -> Vec<Effect> {
        let (all, effect) = match &self.view {
            View::Serve(_) => ("all clients", Effect::Serve(Order::Limit(rate))),
            View::Connect(_) => ("all downloads", Effect::Limit(rate)),
        };
        self.say(limited(all, rate));
        vec![effect]
    }

    /// Shows the URLs as QR codes.
    pub(super) fn show_qr(&mut self) {
        let View::Serve(view) = &self.view else {
            return;
        };
        let urls = view.facts.urls.clone();
        if urls.is_empty() {
            self.complain("there is no URL yet");
        } else if view.is_local() {
            self.complain("only this machine can reach it: serve with -a 0.0.0.0 for others");
        } else {
            self.popup = Some(Popup::Qr { urls, at: 0 });
        }
    }

    pub(super) fn pause_client(&mut self) -> Vec<Effect> {
        let View::Serve(view) = &self.view else {
            return Vec::new();
        };
        let Some(client) = view.current() else {
            self.complain("there is no client");
            return Vec::new();
        };
        let paused = client.paused;
        self.pause_or_resume(&[(client.id, view.name(client.id))], !paused)
    }

    fn pause_or_resume(&mut self, clients: &[(ClientId, String)], pause: bool) -> Vec<Effect> {
        let names: Vec<_> = clients.iter().map(|(_, name)| name.as_str()).collect();
        let names = names.join(", ");
        self.say(if pause {
            format!("{names} is paused: resume lets it go on")
        } else {
            format!("{names} goes on")
        });
        let order = if pause { Order::Pause } else { Order::Resume };
        let orders = clients.iter().map(|(id, _)| Effect::Serve(order(*id)));
        orders.collect()
    }

    /// Asks whether to kick the current client, or to ban it.
    pub(super) fn ask_to_remove(&mut self, ban: bool) {
        let View::Serve(view) = &self.view else {
            return;
        };
        let Some(client) = view.current() else {
            self.complain("there is no client");
            return;
        };
        let name = view.name(client.id);
        let mut ends: Vec<_> = running(client)
            .map(|t| display_name(t.path.as_bytes()).into_owned())
            .collect();
        if ends.len() > NAMED {
            let more = ends.len() - NAMED + 1;
            ends.truncate(NAMED - 1);
            ends.push(format!("and {more} more"));
        }
        if ban {
            ends.extend(view.banned_with(client));
        }
        let reason = KICKED.to_owned();
        let (verb, note, done, order) = if ban {
            (
                "Ban",
                "It is refused until :unban or the end of this run.",
                format!(
                    "{name} is banned: :unban {} lets it in again",
                    display_name(&client.who)
                ),
                Order::Ban(client.id, reason),
            )
        } else {
            (
                "Kick",
                "It may come back after a minute; b bans it.",
                format!("{name} was kicked"),
                Order::Kick(client.id, reason),
            )
        };
        let unasked = format!("{verb} {name}: nobody is there to say yes");
        self.popup = Some(Popup::Ask(Ask {
            title: "Client",
            question: format!("{verb} {name}?"),
            ends,
            note: note.into(),
            yes: if ban { "ban" } else { "kick" },
            then: Then::Serve(order),
            done: Some(done),
            unasked,
        }));
    }

    /// Runs a command of the server's own.
    pub(super) fn run_serve(&mut self, command: Command) -> Result<Vec<Effect>, String> {
        let View::Serve(view) = &self.view else {
            return Ok(Vec::new());
        };
        let orders = match command {
            Command::Clients => {
                self.focus_on(Pane::Clients);
                return Ok(Vec::new());
            }
            Command::Qr => {
                self.show_qr();
                return Ok(Vec::new());
            }
            Command::PauseClient(who) => {
                let clients = view.meant(who.as_deref())?;
                return Ok(self.pause_or_resume(&clients, true));
            }
            Command::ResumeClient(who) => {
                let clients = view.meant(who.as_deref())?;
                return Ok(self.pause_or_resume(&clients, false));
            }
            Command::Limit { who, rate } => {
                let clients = view.meant(who.as_deref())?;
                self.say(limited(&names(&clients), rate));
                each(&clients, |id| Order::LimitClient(id, rate))
            }
            Command::Kick { who, reason } => {
                let clients = view.meant(Some(&who))?;
                self.say(format!("{} was kicked", names(&clients)));
                let reason = reason_or(reason);
                each(&clients, |id| Order::Kick(id, reason.clone()))
            }
            Command::Ban { who, reason } => {
                let clients = view.meant(Some(&who))?;
                self.say(format!("{} is banned", names(&clients)));
                let reason = reason_or(reason);
                each(&clients, |id| Order::Ban(id, reason.clone()))
            }
            Command::Unban(who) => vec![Order::Unban(view.banned_as(who))],
            Command::Share(dir) => {
                let dir =
                    super::connect::local(&dir, &PathBuf::from("."), view.facts.home.as_ref());
                vec![Order::Share(dir)]
            }
            Command::Drain => {
                self.say("draining: what runs is finished, no one new is taken, then this exits");
                vec![Order::Drain]
            }
            _ => Vec::new(),
        };
        Ok(orders.into_iter().map(Effect::Serve).collect())
    }
}

fn each(clients: &[(ClientId, String)], order: impl Fn(ClientId) -> Order) -> Vec<Order> {
    clients.iter().map(|(id, _)| order(*id)).collect()
}

fn names(clients: &[(ClientId, String)]) -> String {
    let names: Vec<_> = clients.iter().map(|(_, name)| name.as_str()).collect();
    names.join(", ")
}

fn reason_or(reason: String) -> String {
    if reason.is_empty() {
        KICKED.to_owned()
    } else {
        reason
    }
}

fn limited(what: &str, rate: Option<Rate>) -> String {
    match rate {
        Some(rate) => format!("{what}: at most {rate}"),
        None => format!("{what}: no limit"),
    }
}

fn entry(browser: &super::browser::Browser) -> Option<Subject> {
    Some(Subject::Entry(browser.path_of(browser.current()?)?))
}

impl Serve {
    /// Another screen may have turned the server to another directory.
    pub(super) fn follow_root(&mut self, root: &Path) -> Option<Effect> {
        let before = &self.snapshot.root;
        if before.as_os_str().is_empty() || before == root {
            return None;
        }
        let shown = display_path(root);
        if shown == self.facts.root {
            return None;
        }
        Some(self.turn_to(shown))
    }

    /// What a client is called in commands: its name where no other has it, else its address, else its number.
    pub fn handle(&self, client: &ClientView) -> String {
        let clients = &self.snapshot.clients;
        let once = |text: &str, of: fn(&ClientView) -> String| {
            clients.iter().filter(|c| of(c) == text).count() == 1
        };
        let plain = |name: &String| !name.chars().any(char::is_control) && name != "all";
        if let Some(name) = client.name.clone().filter(plain)
            && once(&name, label)
        {
            return name;
        }
        let address = client.address.to_string();
        if once(&address, |c| c.address.to_string()) {
            return address;
        }
        format!("#{}", client.id.0)
    }

    /// What a ban of a client without a login means, and who else is cut off by it; escaped.
    fn banned_with(&self, client: &ClientView) -> Vec<String> {
        if client.login.is_some() {
            return Vec::new();
        }
        let clients = self.snapshot.clients.iter();
        let others = clients.filter(|c| c.id != client.id && c.who == client.who);
        let others: Vec<_> = others.map(|c| self.name(c.id)).collect();
        let all = format!("everything from {}", display_name(&client.who));
        if others.is_empty() {
            return vec![all];
        }
        vec![format!("{all}, {} too", others.join(", "))]
    }

    /// Whom a ban names that `who` may mean: as the list of bans has it, or a client of that name, address or number.
    fn banned_as(&self, who: String) -> String {
        let is_banned = |who: &str| self.snapshot.banned.iter().any(|ban| ban.who == who);
        if is_banned(&who) {
            return who;
        }
        let meant = self.meant(Some(&who)).unwrap_or_default();
        let clients = self.snapshot.clients.iter();
        let mut meant = clients.filter(|c| meant.iter().any(|(id, _)| *id == c.id));
        let banned = meant.find(|c| is_banned(&c.who)).map(|c| c.who.clone());
        banned.unwrap_or(who)
    }

    /// What a client is called on the screen, escaped.
    pub(super) fn name(&self, id: ClientId) -> String {
        let client = self.snapshot.clients.iter().find(|c| c.id == id);
        client.map_or_else(String::new, |c| display_name(&label(c)).into_owned())
    }

    /// The clients that a command means by `who`: those of that name or address; the current one by nothing.
    fn meant(&self, who: Option<&str>) -> Result<Vec<(ClientId, String)>, String> {
        let Some(who) = who else {
            let current = self.current().map(|c| vec![(c.id, self.name(c.id))]);
            return current.ok_or_else(|| "there is no client".to_owned());
        };
        let is_meant = |client: &&ClientView| {
            client.name.as_deref() == Some(who)
                || client.address.to_string() == who
                || address(client) == who
                || format!("#{}", client.id.0) == who
        };
        let clients = self.snapshot.clients.iter().filter(is_meant);
        let clients: Vec<_> = clients.map(|c| (c.id, self.name(c.id))).collect();
        if clients.is_empty() {
            return Err(format!(
                "no client is called `{}`: :clients lists them",
                display_name(who)
            ));
        }
        Ok(clients)
    }
}
