use super::states::*;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use haul::app::Event;
use haul::app::*;
use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier},
};
fn ansi(buf: &Buffer) -> String {
    let area = *buf.area();
    let mut out = String::new();
    for y in area.top()..area.bottom() {
        let mut x = 0;
        while x < area.right() {
            let c = &buf[(x, y)];
            out.push_str("\x1b[0");
            if c.modifier.contains(Modifier::BOLD) {
                out.push_str(";1")
            }
            if c.modifier.contains(Modifier::DIM) {
                out.push_str(";2")
            }
            if c.modifier.contains(Modifier::REVERSED) {
                out.push_str(";7")
            }
            if let Color::Rgb(r, g, b) = c.fg {
                out.push_str(&format!(";38;2;{r};{g};{b}"))
            }
            if let Color::Rgb(r, g, b) = c.bg {
                out.push_str(&format!(";48;2;{r};{g};{b}"))
            }
            out.push('m');
            out.push_str(c.symbol());
            x += haul::ui::text::width(c.symbol()).max(1) as u16;
        }
        out.push_str("\x1b[0m\n");
    }
    out
}
fn key(s: &mut State, k: &str) {
    let (code, m) = match k {
        "Enter" => (KeyCode::Enter, KeyModifiers::NONE),
        "Esc" => (KeyCode::Esc, KeyModifiers::NONE),
        "Tab" => (KeyCode::Tab, KeyModifiers::NONE),
        "Down" => (KeyCode::Down, KeyModifiers::NONE),
        _ => (KeyCode::Char(k.chars().next().unwrap()), KeyModifiers::NONE),
    };
    let _ = update(s, Event::Key(KeyEvent::new(code, m)));
}
#[test]
fn shots() {
    let dir = std::env::var("SHOT").unwrap_or("/tmp/shots".into());
    std::fs::create_dir_all(&dir).unwrap();
    let mut save = |name: &str, s: &mut State, w, h| {
        let b = draw(s, w, h);
        let b2 = draw(s, w, h);
        assert_eq!(b, b2);
        std::fs::write(format!("{dir}/{name}.ans"), ansi(&b2)).unwrap();
        std::fs::write(format!("{dir}/{name}.txt"), text(&b2)).unwrap();
    };
    let mut s = downloading();
    draw(&mut s, 120, 36);
    for k in ["k", "k", "j", "j", "j"] {
        key(&mut s, k)
    }
    let mut s2 = downloading();
    draw(&mut s2, 120, 36);
    for k in [" ", "j", " ", " ", "k"] {
        key(&mut s2, k)
    }
    save("c120", &mut s2, 120, 36);
    save("c80", &mut s2, 80, 24);
    save("c60", &mut s2, 60, 20);
    save("c40", &mut s2, 40, 10);
    save("c200", &mut s2, 200, 50);
    save("c100", &mut s2, 100, 30);
    for k in [":", "g", "e", "t", " ", "d", "e", "b"] {
        key(&mut s2, k)
    }
    save("cp120", &mut s2, 120, 36);
    save("cp80", &mut s2, 80, 24);
    save("cp40", &mut s2, 40, 10);
    key(&mut s2, "Esc");
    key(&mut s2, "?");
    save("help120", &mut s2, 120, 36);
    save("help60", &mut s2, 60, 16);
    key(&mut s2, "Esc");
    key(&mut s2, "q");
    save("quit", &mut s2, 80, 24);
    key(&mut s2, "Esc");
    key(&mut s2, "2");
    save("c80-2", &mut s2, 80, 24);
    save("c59-2", &mut s2, 59, 24);
    save("c40-2", &mut s2, 40, 14);
    key(&mut s2, "3");
    save("c80-3", &mut s2, 80, 24);
    key(&mut s2, "z");
    save("c80-3z", &mut s2, 80, 24);
    let mut v = serving();
    draw(&mut v, 120, 36);
    save("s120f", &mut v, 120, 36);
    key(&mut v, "G");
    key(&mut v, "g");
    key(&mut v, "g");
    key(&mut v, "Enter");
    save("s120", &mut v, 120, 36);
    save("s80", &mut v, 80, 24);
    save("s60", &mut v, 60, 20);
    save("s40", &mut v, 40, 10);
    save("s200", &mut v, 200, 50);
    key(&mut v, "3");
    save("s80-3", &mut v, 80, 24);
    let mut e = State::serve(serve_facts(), looks());
    save("s-empty", &mut e, 80, 24);
    let mut b = browsing();
    save("c-empty", &mut b, 120, 36);
    let mut a = State::connect(connect::Facts::default(), None, looks());
    save("c-addr", &mut a, 80, 24);
}
