//! Whatever comes, in whatever order and at whatever size: nothing panics, and no cursor leaves its list.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use haul::{
    app::{
        Effect, Event, Mouse, Pane, Popup, Sample, Server, State, View,
        event::Fingerprint,
        here::Here,
        keymap::BINDINGS,
        survey::{Chunk, Extent, News, Sum, Survey},
    },
    client, ui,
};
use proptest::prelude::*;
use ratatui::layout::Rect;
use tracing::Level;

use super::states::*;

/// Something that can happen.
#[derive(Debug, Clone)]
enum Happening {
    /// A key of the table.
    Bound(usize, usize),
    Key(KeyCode, KeyModifiers),
    Text(String),
    Paste(String),
    Size(u16, u16),
    /// A press or the wheel, at a cell.
    Mouse(u16, u16, isize),
    Listed(Vec<u8>, u8),
    Items(usize),
    Log(String),
    Later(u64),
    Told(u8),
    /// What was asked for off the loop comes back.
    Answers,
}

fn happening() -> impl Strategy<Value = Happening> {
    let code = prop_oneof![
        any::<char>().prop_map(KeyCode::Char),
        prop::char::range(' ', '~').prop_map(KeyCode::Char),
        Just(KeyCode::Enter),
        Just(KeyCode::Esc),
        Just(KeyCode::Tab),
        Just(KeyCode::Backspace),
        Just(KeyCode::Null),
        any::<u8>().prop_map(KeyCode::F),
    ];
    let command = prop::sample::select(vec![
        ":get a*\n",
        ":cd ..\n",
        ":sort rate desc\n",
        ":filter x\n",
        ":limit 1M\n",
        ":kick #2\n",
        ":export x\n",
        ":set wrap on\n",
        ":verify notes.md\n",
        ":info\n",
        ":qr\n",
        "/o\n",
        "?li\n",
        ":theme mono\n",
        ":log trace\n",
        ":disconnect\n",
        ":clients\n",
        ":set hidden on\n",
    ]);
    prop_oneof![
        8 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(row, key)| {
            let row = row.index(BINDINGS.len());
            Happening::Bound(row, key.index(BINDINGS[row].keys.len()))
        }),
        2 => (code, 0u8..8).prop_map(|(code, bits)| {
            Happening::Key(code, KeyModifiers::from_bits_truncate(bits))
        }),
        3 => command.prop_map(|text| Happening::Text(text.to_owned())),
        1 => any::<String>().prop_map(Happening::Paste),
        2 => (0u16..260, 0u16..80).prop_map(|(w, h)| Happening::Size(w, h)),
        1 => (1u16..45, 1u16..12).prop_map(|(w, h)| Happening::Size(w, h)),
        2 => (0u16..260, 0u16..80, -5isize..6).prop_map(|(x, y, by)| Happening::Mouse(x, y, by)),
        1 => (any::<Vec<u8>>(), 0u8..60).prop_map(|(name, n)| Happening::Listed(name, n)),
        1 => (0usize..40).prop_map(Happening::Items),
        1 => any::<String>().prop_map(Happening::Log),
        1 => (0u64..100_000).prop_map(Happening::Later),
        1 => (0u8..8).prop_map(Happening::Told),
        2 => Just(Happening::Answers),
    ]
}

/// What a walk tells, in the middle and at its end.
fn surveyed(survey: &Survey) -> Vec<Event> {
    let sum = |more| Sum {
        bytes: u64::MAX,
        files: 7,
        more,
    };
    let mut news = Vec::new();
    for (root, more) in survey.roots.iter().zip([true, false].into_iter().cycle()) {
        news.push(News::Found(Arc::new(Chunk {
            dir: root.clone(),
            entries: entries(),
        })));
        news.push(News::Counted {
            root: root.clone(),
            sum: sum(more),
            ended: !more,
        });
    }
    news.push(News::Ended(Extent::default()));
    let event = |news| Event::Surveyed {
        id: survey.id,
        news,
    };
    news.into_iter().map(event).collect()
}

/// What comes of an effect.
fn answers(effect: Effect) -> Vec<Event> {
    match effect {
        Effect::Arrange(job) => vec![Event::Arranged(job.run())],
        Effect::Match(job) => vec![Event::Matched(job.run())],
        Effect::ListLocal(dir) => vec![Event::LocalListed {
            dir,
            names: vec![("a b".into(), true), ("c".into(), false)],
        }],
        Effect::LookLocal {
            target, entries, ..
        } => {
            let here = [Here::Part, Here::Other(1), Here::Whole { dated: true }];
            let here = here.into_iter().cycle().take(entries.len()).collect();
            vec![Event::LookedLocal {
                target,
                entries,
                here,
            }]
        }
        Effect::Preview(path) => vec![Event::Previewed {
            path,
            result: Ok(b"a\x1b\xff\n".repeat(30)),
        }],
        Effect::Verify { file, .. } => vec![Event::Differs(file)],
        Effect::FindDamage(file) => vec![Event::Damaged {
            file,
            result: Ok(client::Damage {
                size: 9 << 20,
                pieces: vec![0, 3, 4, 5],
                resized: true,
            }),
        }],
        Effect::Survey(survey) => surveyed(&survey),
        _ => Vec::new(),
    }
}

/// A dashboard to which things happen.
struct World {
    state: State,
    size: (u16, u16),
    now: Instant,
    asked: Vec<Effect>,
    seq: i64,
}

impl World {
    fn happen(&mut self, happening: &Happening) {
        let events = self.events(happening);
        for event in events {
            let effects = send(&mut self.state, event);
            self.asked.extend(effects);
        }
    }

    fn mouse(&self, x: u16, y: u16, by: isize) -> Option<Mouse> {
        let area = Rect::new(0, 0, self.size.0, self.size.1);
        let hit = ui::hit(&self.state, area, x, y);
        if self.state.popup.is_some() && by == 0 {
            let on = ui::in_box(&self.state, area, x, y);
            return Some(Mouse::InBox { on, at: self.now });
        }
        let spot = ui::spot(&self.state, area, x, y).map(Mouse::On);
        let right = hit.and_then(|(pane, row)| Some(Mouse::Mark { pane, row: row? }));
        let mouse = hit.map(|(pane, row)| match by {
            0 => Mouse::Press {
                pane,
                row,
                at: self.now,
            },
            by => Mouse::Wheel { pane, by },
        });
        match by {
            0 => spot.or(mouse),
            1 => right,
            _ => mouse,
        }
    }

    fn events(&mut self, happening: &Happening) -> Vec<Event> {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        match happening {
            Happening::Bound(row, at) => {
                let keys = BINDINGS[*row].keys[*at];
                self.asked.extend(press_named(&mut self.state, keys));
                Vec::new()
            }
            Happening::Key(code, modifiers) => vec![key(*code, *modifiers)],
            Happening::Text(text) => text
                .chars()
                .map(|c| match c {
                    '\n' => key(KeyCode::Enter, KeyModifiers::NONE),
                    c => key(KeyCode::Char(c), KeyModifiers::NONE),
                })
                .collect(),
            Happening::Paste(text) => vec![Event::Paste(text.clone())],
            Happening::Size(width, height) => {
                self.size = (*width, *height);
                Vec::new()
            }
            Happening::Mouse(x, y, by) => {
                let mouse = self.mouse(*x, *y, *by);
                mouse.map(Event::Mouse).into_iter().collect()
            }
            Happening::Listed(name, n) => vec![self.listed(name, *n)],
            Happening::Items(n) => {
                let items = items().into_iter().cycle().take(*n).enumerate();
                let items = items.map(|(i, mut item)| {
                    item.id = client::ItemId(i as u64);
                    item
                });
                let snapshot = client::Snapshot {
                    items: items.collect(),
                    ..client::Snapshot::default()
                };
                self.tick(0, Some(snapshot))
            }
            Happening::Log(text) => {
                self.seq += 1;
                // The ring's lines are escaped before they get here.
                let text = haul::escape::display_name(text).into_owned();
                vec![Event::Log(vec![line(
                    1000 + self.seq,
                    Level::WARN,
                    "who",
                    &text,
                )])]
            }
            Happening::Later(ms) => self.tick(*ms, None),
            Happening::Told(0) => vec![Event::Disconnected],
            Happening::Told(1) => vec![Event::LoginWanted {
                reason: "who".into(),
                at: Some("h".into()),
            }],
            Happening::Told(2) => vec![Event::Fingerprint(Fingerprint {
                host: "h".into(),
                seen: "AA".into(),
                known: None,
            })],
            Happening::Told(3) => vec![Event::Shared("/elsewhere".into())],
            Happening::Told(4) => vec![Event::Connected(Server {
                url: "http://other/".parse().unwrap(),
                named: Some(path("/photos")),
            })],
            Happening::Told(5) => vec![Event::Answered],
            Happening::Told(n) => vec![Event::Refused(n.to_string())],
            Happening::Answers => {
                let jobs = std::mem::take(&mut self.asked).into_iter();
                jobs.flat_map(answers).collect()
            }
        }
    }

    /// A directory with odd names, for whatever was asked for last.
    fn listed(&self, name: &[u8], n: u8) -> Event {
        let entry = |i: u8| {
            let mut name = name.to_vec();
            name.retain(|b| !matches!(b, 0 | b'/'));
            name.extend(i.to_string().into_bytes());
            let size = (!i.is_multiple_of(3)).then_some(u64::from(i) << i.min(50));
            entry(name, size, u64::from(i) * 7777)
        };
        let asked = self.asked.iter().rev().find_map(|effect| match effect {
            Effect::List { request, .. } => Some(*request),
            _ => None,
        });
        Event::Listed {
            request: asked.unwrap_or_default(),
            path: path("/"),
            result: match n {
                7 => Err("no".into()),
                8 => Err(wants_login()),
                _ => Ok((0..n).map(entry).collect()),
            },
        }
    }

    fn tick(&mut self, ms: u64, snapshot: Option<client::Snapshot>) -> Vec<Event> {
        self.now += Duration::from_millis(ms);
        let sample = snapshot.map_or(Sample::Nothing, Sample::Client);
        self.asked
            .extend(tick(&mut self.state, self.now, wall(), sample));
        Vec::new()
    }

    /// Draws, and looks at every cursor.
    fn check(&mut self) {
        let (width, height) = self.size;
        draw(&mut self.state, width, height);
        let inside = |at: usize, len: usize, what: &str| {
            assert!(at < len.max(1), "{what}: {at} of {len}");
        };
        let log = &self.state.log;
        inside(log.cursor().at(), log.counts().0, "log");
        match &self.state.view {
            View::Connect(view) => {
                let remote = &view.remote.listing;
                inside(remote.cursor().at(), remote.len(), "remote");
                inside(view.cursor().at(), view.rows.len(), "transfers");
                assert!(remote.marked_count() <= remote.counts().1);
            }
            View::Serve(view) => {
                let files = &view.files.listing;
                inside(files.cursor().at(), files.len(), "files");
                inside(view.cursor().at(), view.rows.len(), "clients");
            }
        }
        if let Some(Popup::Help(help)) = &self.state.popup {
            inside(help.cursor.at(), help.items.len(), "help");
        }
        let panes = self.state.view.panes();
        assert!(panes.contains(&self.state.focus) || self.state.focus == Pane::Log);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_no_cursor_leaves_its_list(
        which in 0usize..3,
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let state = [browsing, downloading, serving][which]();
        let mut world = World { state, size: (80, 24), now: Instant::now(), asked: Vec::new(), seq: 0 };
        world.check();
        for happening in &happenings {
            world.happen(happening);
            world.check();
        }
    }
}
