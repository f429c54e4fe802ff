//! How events change the state.

use std::time::{Duration, Instant};

use crossterm::event::{KeyEvent, KeyEventKind};

use super::{
    Event, Layout, Pane, Popup, Sample, State, Tick, View,
    browser::Load,
    effect::Effect,
    event::{Ending, Unlisted},
    keymap::{Action, Chord, Found},
    prompt::{Kind, Prompt},
    questions::Question,
};
use crate::{
    client::{self, Link},
    entry::Entry,
    escape::display_path,
    server,
};

/// Figures on the screen are renewed this often, so that their digits can be read.
const REFRESH: Duration = Duration::from_millis(450);

/// Takes an event in; what has to be done outside is returned.
pub fn update(state: &mut State, event: Event) -> Vec<Effect> {
    let mut effects = match event {
        Event::Tick(tick) => {
            let mut effects = state.tick(tick);
            effects.extend(state.call());
            effects
        }
        event => {
            state.dirty = true;
            state.take(event)
        }
    };
    // What a script says next may need the directory that was asked for last.
    while !state.is_listing()
        && let Some(line) = state.script.pop_front()
    {
        effects.extend(state.run_script(&line));
    }
    state.ask_next();
    effects.extend(state.end_search());
    // A list that was made anew knows as many rows as the one before it.
    state.lay_out(state.layout);
    effects
}

impl State {
    fn take(&mut self, event: Event) -> Vec<Effect> {
        match event {
            // It was meant for what was open before.
            Event::Key(_) | Event::Paste(_) | Event::Mouse(_) if !self.takes_answers() => {}
            Event::Key(key) if key.kind != KeyEventKind::Release => return self.key(key),
            Event::Background(theme) if !self.looks.chosen => self.looks.theme = theme,
            // A theme that was chosen since stays.
            Event::Key(_) | Event::Tick(_) | Event::Background(_) => {}
            Event::Paste(text) => return self.paste(&text),
            Event::Mouse(mouse) => return self.mouse(mouse),
            Event::Layout(layout) => self.lay_out(layout),
            Event::Log(lines) => self.log.extend(lines),
            Event::Listed {
                request, result, ..
            } => return self.listed(request, result),
            Event::Arranged(arranged) => {
                let next = self.browser().listing.take(arranged);
                return next.map(Effect::Arrange).into_iter().collect();
            }
            Event::Surveyed { id, news } => return self.surveyed(id, news),
            Event::Previewed { path, result } => self.previewed(&path, result),
            Event::Differs(file) => return self.differs(file),
            Event::Damaged { file, result } => self.damaged(file, result),
            Event::Matched(matched) => return self.matched(matched),
            Event::Downloads(counts) => {
                if let View::Serve(view) = &mut self.view {
                    view.downloads = counts.into_iter().collect();
                }
            }
            Event::Connected(server) => {
                self.leave_server();
                self.forget_ways();
                if let View::Connect(view) = &mut self.view {
                    return vec![view.turn_to(server)];
                }
            }
            Event::Refused(reason) => {
                self.script_fails(&reason);
                self.complain(reason);
            }
            Event::Told(text) => self.say(text),
            Event::Added(count) => {
                let count = crate::units::count(count as u64);
                self.say(format!("{count} added to the queue"));
            }
            Event::Lcd(dir) => {
                self.say(format!("downloads go to {}", display_path(&dir)));
                if let View::Connect(view) = &mut self.view {
                    view.download_to(dir);
                    return view.look().into_iter().collect();
                }
            }
            Event::Shared(root) => {
                self.say(format!("{root} is served from now on"));
                if let View::Serve(view) = &mut self.view {
                    return vec![view.turn_to(root)];
                }
            }
            Event::Disconnected => {
                self.leave_server();
                if let View::Connect(view) = &mut self.view {
                    view.leave();
                }
                self.ask(Question::Address);
            }
            Event::LocalListed { dir, names } => {
                self.local = Some((dir, names));
                return self.typed();
            }
            Event::LookedLocal {
                target,
                entries,
                here,
            } => {
                if let View::Connect(view) = &mut self.view {
                    view.looked(&target, &entries, here);
                }
            }
            Event::Space(free) => {
                if let View::Connect(view) = &mut self.view {
                    view.free = free;
                }
            }
            Event::LoginWanted { reason, at } => self.ask(Question::Login { reason, at }),
            Event::Fingerprint(seen) => self.ask(Question::Certificate(seen)),
            Event::Answered => return self.answered(),
            Event::Script { line, place } => self.script.push_back((line, place)),
            Event::Servers(known) => self.servers_found(known),
            Event::Focus(gained) => self.caller.focus(gained),
            Event::Ending(ending) => return vec![Effect::Quit(ending)],
        }
        Vec::new()
    }

    fn listed(&mut self, request: u64, result: Result<Vec<Entry>, Unlisted>) -> Vec<Effect> {
        if !self.browser().awaits(request) {
            // Nobody waits for it any more.
            return Vec::new();
        }
        let wall = self.wall;
        let (failed, passing, asks) = match &result {
            Ok(_) => (false, false, None),
            Err(error) => {
                self.script_fails(&error.reason);
                let question = error.asks.clone();
                let asks = question
                    .map(|asks| Event::asked(asks, error.login_at.clone().map(String::from)));
                (true, error.is_passing(), asks)
            }
        };
        let job = self.browser().listed(request, result, wall);
        // One that asks something does answer.
        if failed && asks.is_none() {
            self.listing_failed();
        }
        let mut effects: Vec<_> = job.map(Effect::Arrange).into_iter().collect();
        if let View::Connect(view) = &mut self.view
            && !passing
        {
            effects.extend(view.go_to_named());
        }
        if let View::Connect(view) = &mut self.view
            && view.remote.load == Load::Idle
        {
            effects.extend(view.look());
        }
        if !failed {
            effects.extend(self.note_server());
        }
        if let Some(asks) = asks {
            effects.extend(self.take(asks));
        }
        effects
    }

    /// Lists again what may have waited for the answer: what this asked is asked anew where it still has to be.
    fn answered(&mut self) -> Vec<Effect> {
        let View::Connect(view) = &mut self.view else {
            return Vec::new();
        };
        let asked = match &view.remote.load {
            Load::Failed(_, error) => error.asks.clone().map(|it| (it, error.login_at.clone())),
            _ => None,
        };
        let effect = view.remote.refresh();
        if let Some((question, at)) = asked {
            self.forget_answered(&question, at.as_deref());
        }
        vec![effect]
    }

    /// What is shown of a server goes with it.
    fn leave_server(&mut self) {
        self.throughput.clear();
        self.preview = None;
        self.notice = None;
        self.forget_questions();
        let of_it = |popup: &mut Popup| {
            matches!(popup, Popup::Search(_) | Popup::Marks(_) | Popup::Info(_))
        };
        self.popup.take_if(of_it);
    }

    /// What leads to a server goes with a turn to one.
    fn forget_ways(&mut self) {
        let leads = |popup: &mut Popup| matches!(popup, Popup::Places(_) | Popup::Servers(_));
        self.popup.take_if(leads);
        let leads = |prompt: &mut Prompt| prompt.kind == Kind::Address;
        self.prompt.take_if(leads);
    }

    /// A server that nobody named and that does not answer is not what the user meant: ask.
    fn listing_failed(&mut self) {
        let View::Connect(view) = &self.view else {
            return;
        };
        if !view.facts.named && view.remote.read.is_none() && self.prompt.is_none() {
            self.ask(Question::Address);
        }
    }

    fn tick(&mut self, tick: Tick) -> Vec<Effect> {
        let second = |wall: jiff::Timestamp| wall.as_second();
        self.dirty |= self.wall.map(second) != Some(second(tick.wall));
        self.now = Some(tick.now);
        self.wall = Some(tick.wall);
        self.let_answer(tick.now);
        let refresh = self
            .refreshed
            .is_none_or(|at| tick.now.saturating_duration_since(at) >= REFRESH);
        if refresh {
            self.refreshed = Some(tick.now);
        }
        if self
            .notice
            .as_ref()
            .is_some_and(|n| n.until.is_some_and(|until| until <= tick.now))
        {
            self.notice = None;
            self.dirty = true;
        }
        let effects = match tick.sample {
            Sample::Server(snapshot) => self.server_sampled(snapshot, tick.now, refresh),
            Sample::Client(snapshot) => self.client_sampled(snapshot, tick.now, refresh),
            Sample::Nothing => Vec::new(),
        };
        let waits = self.browser().wait(tick.now);
        self.dirty |= waits && refresh;
        if refresh {
            self.throughput.refresh();
        }
        effects
    }

    fn server_sampled(
        &mut self,
        snapshot: server::Snapshot,
        now: Instant,
        refresh: bool,
    ) -> Vec<Effect> {
        let View::Serve(view) = &mut self.view else {
            return Vec::new();
        };
        self.dirty |= (snapshot.limit, snapshot.draining)
            != (view.snapshot.limit, view.snapshot.draining)
            || snapshot.gone != view.snapshot.gone
            || snapshot.sent != view.snapshot.sent
            || snapshot.requests != view.snapshot.requests
            || snapshot.connections != view.snapshot.connections;
        let draining = snapshot.draining;
        let mut effects: Vec<_> = view.follow_root(&snapshot.root).into_iter().collect();
        self.throughput.sample(now, snapshot.sent);
        view.sample(now, snapshot, refresh);
        if draining && view.busy().0 == 0 && self.attached.is_none() {
            return vec![Effect::Quit(Ending::Quit)];
        }
        if refresh && self.layout.rows[2] > 0 {
            effects.extend(view.look_again(now));
            let listing = &view.files.listing;
            let rows = listing.cursor().window(listing.len());
            let paths: Vec<_> = rows.filter_map(|row| view.files.path_at(row)).collect();
            if !paths.is_empty() {
                effects.push(Effect::CountDownloads(paths));
            }
        }
        effects
    }

    fn client_sampled(
        &mut self,
        mut snapshot: client::Snapshot,
        now: Instant,
        refresh: bool,
    ) -> Vec<Effect> {
        let View::Connect(view) = &mut self.view else {
            return Vec::new();
        };
        view.hide(&mut snapshot);
        let before = &view.snapshot;
        self.dirty |= snapshot.received != before.received
            || snapshot.link != before.link
            || snapshot.items.len() != before.items.len()
            || snapshot
                .items
                .iter()
                .zip(&before.items)
                .any(|(a, b)| (a.id, &a.state, a.done) != (b.id, &b.state, b.done));
        let back = snapshot.link == Link::Up && before.link != Link::Up;
        // It asks in the middle of a transfer, where nobody waits for a listing.
        let asks: Option<Event> = match &snapshot.link {
            Link::Asks(question)
                if (&snapshot.link, &snapshot.login_at) != (&before.link, &before.login_at) =>
            {
                Some(Event::asked(question.clone(), snapshot.login_at.clone()))
            }
            _ => None,
        };
        let answered = match &snapshot.link {
            Link::Asks(question) if asks.is_some() => {
                let asked = (question.clone(), snapshot.login_at.clone());
                let before = view.asked.replace(asked);
                // Who is not believed yet is told no login: one that asks for it now is believed.
                before.filter(|(before, _)| {
                    matches!(before, client::Question::Certificate { host, .. } if snapshot.login_at.as_ref() == Some(host))
                })
            }
            // It may have been answered many samples ago: what follows may take its time to connect.
            Link::Up => view.asked.take(),
            _ => None,
        };
        self.throughput.sample(now, snapshot.received);
        view.sample(now, snapshot, refresh);
        let mut effects: Vec<_> = view.ask_free(now).into_iter().collect();
        effects.extend(view.look_again(now));
        if refresh {
            effects.extend(view.revive(now));
        }
        // The server is back: what could not be listed may be now. Not what waits for an answer of the user.
        if let Load::Failed(_, error) = &view.remote.load
            && back
            && (error.asks.is_none() || answered.is_some())
        {
            effects.push(view.remote.refresh());
        }
        let first = !std::mem::replace(&mut view.sampled, true);
        let paused = view.counts().paused;
        let waits = first && paused > 0 && self.attached.is_none();
        view.undo.restored |= waits;
        if let Some((question, at)) = answered {
            self.dirty = true;
            self.forget_answered(&question, at.as_deref());
        }
        if let Some(asks) = asks {
            self.dirty = true;
            effects.extend(self.take(asks));
        }
        if waits {
            // Before anybody could pause anything.
            let what = if paused == 1 {
                "transfer waits"
            } else {
                "transfers wait"
            };
            self.say(format!(
                "{paused} {what} from an earlier run: P goes on with all, x cancels one"
            ));
        }
        effects
    }

    fn lay_out(&mut self, layout: Layout) {
        self.layout = layout;
        for (pane, rows) in self.view.panes().into_iter().zip(layout.rows) {
            match (pane, &mut self.view) {
                (Pane::Log, _) => self.log.set_page(rows),
                (Pane::Remote, View::Connect(view)) => view.remote.listing.set_page(rows),
                (Pane::Transfers, View::Connect(view)) => view.set_page(rows),
                (Pane::Clients, View::Serve(view)) => view.set_page(rows),
                (Pane::Files, View::Serve(view)) => view.files.listing.set_page(rows),
                _ => {}
            }
        }
        if let Some((cursor, len, page)) = self.popup_cursor() {
            cursor.set_page(page, len);
        }
    }

    fn paste(&mut self, text: &str) -> Vec<Effect> {
        if let Some(Popup::Help(help)) = &mut self.popup {
            help.query
                .extend(text.chars().filter(|c| !c.is_control()).take(80));
            help.search();
            return Vec::new();
        }
        if matches!(self.popup, Some(Popup::Search(_))) {
            return self.search_for(text);
        }
        if self.prompt.is_some() && matches!(self.popup, Some(Popup::Places(_) | Popup::Servers(_)))
        {
            // As a letter does: what is typed is the address.
            self.popup = None;
        }
        // Without a line to paste into, text would be taken for keys.
        let Some(prompt) = &mut self.prompt else {
            return Vec::new();
        };
        prompt.insert(text, &self.history);
        self.typed()
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if self.script.is_empty() {
            // From here on it is the user who acts.
            self.script_at = None;
        }
        if self.popup.is_some() {
            return self.popup_key(key);
        }
        let chord = Chord::from(key);
        match self.keymap.press(chord, self.scopes()) {
            Found::Action(Action::Edit(edit)) => self.edit(edit),
            Found::Action(action) => self.act(action),
            Found::Prefix => Vec::new(),
            Found::Nothing => {
                if let (Some(prompt), Some(c)) = (&mut self.prompt, chord.typed()) {
                    prompt.insert(c.encode_utf8(&mut [0; 4]), &self.history);
                    return self.typed();
                }
                Vec::new()
            }
        }
    }
}
