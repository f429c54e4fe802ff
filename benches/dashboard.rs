//! What a frame costs: drawing it with many transfers, and what a listing of a million names holds the loop up for.
//!
//! `cargo bench -p haul-benches`. The limits are those of a frame: 2 ms to draw, 16 ms from a key to its frame.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use haul::{
    app::{self, Effect, Event, Looks, Sample, State, Tick, View, connect, update},
    client::{ItemId, ItemState, ItemView, Link, Snapshot},
    config::ThemeName,
    entry::Entry,
    http1::path::RemotePath,
    ui,
};
use jiff::{Timestamp, tz::TimeZone};
use ratatui::{buffer::Buffer, layout::Rect};

const AREA: Rect = Rect::new(0, 0, 240, 70);

fn state() -> State {
    let server = app::Server {
        url: "http://nas.lan:8888/".parse().expect("a URL"),
        named: None,
    };
    let looks = Looks {
        theme: ThemeName::Dark,
        chosen: false,
        depth: app::Depth::Full,
        glyphs: app::GlyphSet::Unicode,
        colours: Vec::new(),
        zone: TimeZone::UTC,
    };
    State::connect(connect::Facts::default(), Some(server), looks)
}

fn entries(count: u32) -> Vec<Entry> {
    // As a directory comes: in no order.
    let name = |i: u32| {
        format!(
            "holiday-{}-{:x}.jpg",
            i.wrapping_mul(2_654_435_761) % 10_007,
            i
        )
    };
    let entry = |i| Entry {
        name: name(i).into_bytes(),
        is_dir: i % 1000 == 0,
        size: Some(u64::from(i) * 1023),
        modified: None,
        blake3: None,
    };
    (0..count).map(entry).collect()
}

fn snapshot(count: u64, round: u64) -> Snapshot {
    let item = |i: u64| ItemView {
        id: ItemId(i),
        path: RemotePath::from_target(format!("/photos/2026/number-{i}-日本.tif").as_bytes())
            .expect("a path"),
        files: None,
        done: round * 65_536 + i,
        total: Some(1 << 30),
        connections: 1,
        state: ItemState::Active,
        led: None,
        under_way: Vec::new(),
        label: None,
        limit: None,
        first: false,
    };
    Snapshot {
        items: (0..count).map(item).collect(),
        received: round * count * 65_536,
        link: Link::Up,
        ..Snapshot::default()
    }
}

fn tick(state: &mut State, start: Instant, round: u64, count: u64) {
    let tick = Tick {
        now: start + Duration::from_millis(100 * round),
        wall: Timestamp::UNIX_EPOCH,
        sample: Sample::Client(snapshot(count, round)),
    };
    let _ = update(state, Event::Tick(tick));
}

fn draw(state: &mut State, buf: &mut Buffer) {
    let layout = ui::measure(state, AREA);
    if layout != state.layout {
        let _ = update(state, Event::Layout(layout));
    }
    ui::draw(state, &ui::Theme::of(&state.looks), AREA, buf);
}

/// Answers the listing that is waited for.
fn answer(state: &mut State, entries: Vec<Entry>) -> Vec<Effect> {
    let View::Connect(view) = &state.view else {
        return Vec::new();
    };
    let request = view.remote.request;
    let result = Ok(entries);
    update(
        state,
        Event::Listed {
            request,
            path: RemotePath::root(),
            result,
        },
    )
}

/// A state with a listing of `count` names, arranged.
fn listed(count: u32) -> State {
    let mut state = state();
    let _ = state.begin();
    let effects = answer(&mut state, entries(count));
    arrange(&mut state, effects);
    state
}

/// Does what is asked for off the loop.
fn arrange(state: &mut State, mut effects: Vec<Effect>) {
    while let Some(effect) = effects.pop() {
        if let Effect::Arrange(job) = effect {
            effects.extend(update(state, Event::Arranged(job.run())));
        }
    }
}

fn press(state: &mut State, key: char) -> Vec<Effect> {
    let key = KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE);
    update(state, Event::Key(key))
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("1,000 transfers, 240x70");
    let mut state = listed(1000);
    let (start, mut buf) = (Instant::now(), Buffer::empty(AREA));
    for round in 0..20 {
        tick(&mut state, start, round, 1000);
    }
    group.bench_function("a frame", |b| {
        b.iter(|| {
            draw(&mut state, &mut buf);
            black_box(&buf);
        });
    });
    let mut round = 20;
    group.bench_function("a sample", |b| {
        b.iter(|| {
            round += 1;
            tick(&mut state, start, round, 1000);
        });
    });
    group.finish();
}

fn a_million_names(c: &mut Criterion) {
    const COUNT: u32 = 1_000_000;
    let mut group = c.benchmark_group("1,000,000 names");
    group.sample_size(10);
    let mut state = listed(COUNT);
    let mut buf = Buffer::empty(AREA);
    draw(&mut state, &mut buf);
    let _ = press(&mut state, '/');
    // What the loop does for a letter of a filter, and for its result: the filtering itself is elsewhere.
    group.bench_function("on the loop: a letter of a filter, and a frame", |b| {
        b.iter(|| {
            black_box(press(&mut state, '7'));
            draw(&mut state, &mut buf);
        });
    });
    let filter = |state: &mut State| {
        let key = KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE);
        let effects = update(state, Event::Key(key));
        let job = effects.into_iter().find_map(|effect| match effect {
            Effect::Arrange(job) => Some(job),
            _ => None,
        });
        job.expect("a filter that changed")
    };
    let job = filter(&mut state);
    group.bench_function("off the loop: a filter", |b| {
        b.iter_batched(
            || job.clone(),
            app::listing::Job::run,
            BatchSize::PerIteration,
        );
    });
    group.bench_function("on the loop: its result, and a frame", |b| {
        b.iter_batched(
            || job.clone().run(),
            |arranged| {
                let _ = update(&mut state, Event::Arranged(arranged));
                draw(&mut state, &mut buf);
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("on the loop: all marked, and a frame", |b| {
        let mut state = listed(COUNT);
        b.iter(|| {
            let key = KeyEvent::new(KeyCode::Char('a'), KeyModifiers::CONTROL);
            let _ = update(&mut state, Event::Key(key));
            draw(&mut state, &mut buf);
        });
    });
    group.bench_function("on the loop: another listing", |b| {
        b.iter_batched(
            || (listed(COUNT), entries(COUNT)),
            |(mut state, entries)| {
                let _ = press(&mut state, 'r');
                let effects = answer(&mut state, entries);
                (state, effects)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, frames, a_million_names);
criterion_main!(benches);
