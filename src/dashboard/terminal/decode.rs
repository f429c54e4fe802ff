//! What a terminal sends, as keys, pastes and the mouse: ECMA-48 with xterm's sequences.
//!
//! A terminal answers on the line on which keys come. Whatever has the form of an answer, or of a sequence that is
//! not known here, is taken whole and becomes no key, however late and in however many parts it comes.

mod light;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use self::light::is_light;

/// An ESC with nothing behind it for so long is the key.
const ALONE: Duration = Duration::from_millis(50);
/// And this long while the terminal owes an answer, which a slow line may part behind the ESC.
const ALONE_AWAITED: Duration = Duration::from_millis(300);
/// A string that has begun ends with this silence: its end was lost.
const LOST: Duration = Duration::from_secs(3);
/// Bytes that are kept of a sequence or a string; the rest of it is passed over.
const KEPT: usize = 256;
/// Bytes that are kept of one paste.
const PASTED: usize = 1 << 20;
const PASTE_END: &[u8] = b"\x1b[201~";

/// What the terminal sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(KeyEvent),
    /// Pasted text.
    Paste(String),
    /// The mouse.
    Mouse(MouseEvent),
    /// The terminal has gained the focus, or lost it.
    Focus(bool),
    /// The terminal's background, in answer to OSC 11: whether it is light.
    Background {
        /// More light than dark.
        light: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Ground,
    /// Behind ESC.
    Escape,
    /// Within `ESC [`.
    Control,
    /// Behind `ESC [ [`, as the Linux console sends function keys.
    Console,
    /// Behind `ESC O`.
    Single,
    /// Within an OSC, DCS, APC, PM or SOS; the byte that began it.
    Text(u8),
    /// The same behind an ESC.
    TextEscape(u8),
    /// So many bytes of an old mouse report are still to come.
    OldMouse(u8),
    Paste,
}

/// Takes bytes in, in any portions.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// The sequence, string, paste or character that has begun.
    kept: Vec<u8>,
    /// Whether nothing came for a while since the sequence began: what goes on with it is no typed letter's doing.
    paused: bool,
    /// Whether the terminal owes an answer.
    pub awaited: bool,
}

impl Decoder {
    /// How long to wait for what goes on with that which has begun; `None` where nothing has.
    pub fn patience(&self) -> Option<Duration> {
        match self.state {
            State::Ground if self.kept.is_empty() => None,
            State::Escape | State::Control | State::Single | State::Text(_) if self.paused => {
                Some(LOST)
            }
            State::Text(_) if !self.kept.is_empty() => Some(LOST),
            State::TextEscape(_) | State::Paste | State::OldMouse(_) => Some(LOST),
            _ if self.awaited => Some(ALONE_AWAITED),
            _ => Some(ALONE),
        }
    }

    /// Nothing came for as long as [`Self::patience`] says.
    pub fn silence(&mut self, out: &mut Vec<Input>) {
        match self.state {
            State::Escape => {
                out.push(plain(KeyCode::Esc));
                self.ground();
            }
            // Alt and a letter; or an answer that a slow line has parted here: what comes next tells.
            State::Control | State::Single if self.kept.is_empty() && !self.paused => {
                self.paused = true;
            }
            State::Text(_) if self.kept.is_empty() && !self.paused => self.paused = true,
            State::Control | State::Single | State::Text(_) if self.kept.is_empty() => {
                self.alt(out);
            }
            // The rest of an answer may be long in coming.
            State::Control if !self.paused => self.paused = true,
            State::Paste => self.pasted(out),
            _ => self.ground(),
        }
    }

    /// Takes bytes in.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Input>) {
        for byte in bytes {
            self.byte(*byte, out);
        }
    }

    fn ground(&mut self) {
        self.state = State::Ground;
        self.kept.clear();
        self.paused = false;
    }

    fn begin(&mut self, state: State) {
        self.ground();
        self.state = state;
    }

    /// What began as a sequence was Alt and a letter.
    fn alt(&mut self, out: &mut Vec<Input>) {
        let letter = match self.state {
            State::Control => '[',
            State::Single => 'O',
            State::Text(begin) => char::from(begin),
            _ => return,
        };
        out.push(key(KeyCode::Char(letter), KeyModifiers::ALT));
        self.ground();
    }

    fn keep(&mut self, byte: u8, most: usize) {
        if self.kept.len() < most {
            self.kept.push(byte);
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<Input>) {
        // After a pause only what looks like an answer goes on with one that has hardly begun.
        if self.paused && self.kept.is_empty() {
            let goes_on = match self.state {
                State::Control => (b'0'..=b'?').contains(&byte),
                State::Text(b']') => byte.is_ascii_digit(),
                State::Text(_) => {
                    byte.is_ascii_digit() || matches!(byte, b'>' | b'!' | b'$' | b'G')
                }
                _ => false,
            };
            if !goes_on {
                self.alt(out);
            }
            self.paused = false;
        }
        match self.state {
            State::Ground => self.typed(byte, KeyModifiers::NONE, out),
            State::Escape => self.escape(byte, out),
            State::Control => self.control(byte, out),
            State::Console => {
                if let b'A'..=b'E' = byte {
                    out.push(plain(KeyCode::F(byte - b'A' + 1)));
                }
                self.ground();
            }
            State::Single => self.single(byte, out),
            State::Text(begin) => match byte {
                0x07 if begin == b']' => self.text(begin, out),
                0x18 | 0x1a => self.ground(),
                0x1b => self.state = State::TextEscape(begin),
                byte => self.keep(byte, KEPT),
            },
            State::TextEscape(begin) => {
                if byte == b'\\' {
                    self.text(begin, out);
                } else {
                    // Its end was lost: a new sequence begins.
                    self.begin(State::Escape);
                    self.byte(byte, out);
                }
            }
            State::OldMouse(1) => self.ground(),
            State::OldMouse(left) => self.state = State::OldMouse(left - 1),
            State::Paste => {
                self.keep(byte, PASTED);
                if self.kept.len() == PASTED && byte == b'~' {
                    // Too long to be kept to its end.
                    self.kept.truncate(PASTED - PASTE_END.len());
                    self.kept.extend_from_slice(PASTE_END);
                }
                if self.kept.ends_with(PASTE_END) {
                    self.kept.truncate(self.kept.len() - PASTE_END.len());
                    self.pasted(out);
                }
            }
        }
    }

    fn pasted(&mut self, out: &mut Vec<Input>) {
        out.push(Input::Paste(
            String::from_utf8_lossy(&self.kept).into_owned(),
        ));
        self.ground();
    }

    /// A byte of a character, or a control character.
    fn typed(&mut self, byte: u8, modifiers: KeyModifiers, out: &mut Vec<Input>) {
        if !self.kept.is_empty() || byte >= 0x80 {
            return self.character(byte, modifiers, out);
        }
        let control = modifiers | KeyModifiers::CONTROL;
        let (code, modifiers) = match byte {
            0x1b => return self.begin(State::Escape),
            b'\r' => (KeyCode::Enter, modifiers),
            b'\t' => (KeyCode::Tab, modifiers),
            0x7f => (KeyCode::Backspace, modifiers),
            0 => (KeyCode::Char(' '), control),
            0x01..=0x1a => (KeyCode::Char(char::from(byte - 1 + b'a')), control),
            0x1c..=0x1f => (KeyCode::Char(char::from(byte - 0x1c + b'4')), control),
            byte => (KeyCode::Char(char::from(byte)), modifiers),
        };
        out.push(key(code, modifiers));
    }

    fn character(&mut self, byte: u8, modifiers: KeyModifiers, out: &mut Vec<Input>) {
        let continues = (0x80..0xc0).contains(&byte);
        if self.kept.is_empty() == continues {
            // A byte in the middle of nowhere, or a character that breaks off.
            let broke_off = !self.kept.is_empty();
            self.kept.clear();
            if broke_off {
                self.typed(byte, modifiers, out);
            }
            return;
        }
        self.kept.push(byte);
        match std::str::from_utf8(&self.kept) {
            Ok(text) => {
                out.extend(text.chars().map(|c| key(KeyCode::Char(c), modifiers)));
                self.kept.clear();
            }
            Err(error) if error.error_len().is_some() => self.kept.clear(),
            Err(_) => {}
        }
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<Input>) {
        match byte {
            b'[' => self.begin(State::Control),
            b'O' => self.begin(State::Single),
            b']' | b'P' | b'X' | b'^' | b'_' => self.begin(State::Text(byte)),
            0x1b => out.push(plain(KeyCode::Esc)),
            byte => {
                self.ground();
                self.typed(byte, KeyModifiers::ALT, out);
            }
        }
    }

    fn single(&mut self, byte: u8, out: &mut Vec<Input>) {
        // Some terminals put a modifier's number before the letter.
        if byte.is_ascii_digit() || byte == b';' {
            return self.keep(byte, KEPT);
        }
        let code = match byte {
            b'M' => Some(KeyCode::Enter),
            byte => letter(byte),
        };
        self.ground();
        out.extend(code.map(plain));
        if byte == 0x1b {
            self.state = State::Escape;
        }
    }

    fn control(&mut self, byte: u8, out: &mut Vec<Input>) {
        match byte {
            b'[' if self.kept.is_empty() => self.begin(State::Console),
            b'M' if self.kept.is_empty() => self.begin(State::OldMouse(3)),
            0x20..=0x3f => self.keep(byte, KEPT),
            0x40..=0x7e => {
                let parameters = std::mem::take(&mut self.kept);
                self.ground();
                match sequence(&parameters, byte) {
                    Some(Sequence::PasteBegins) => self.begin(State::Paste),
                    Some(Sequence::Sent(sent)) => out.push(sent),
                    None => {}
                }
            }
            0x1b => self.begin(State::Escape),
            // A control character within breaks it off.
            byte => {
                self.ground();
                self.byte(byte, out);
            }
        }
    }

    /// A string has ended: only the background's colour tells something.
    fn text(&mut self, begin: u8, out: &mut Vec<Input>) {
        if begin == b']'
            && let Some(colour) = self.kept.strip_prefix(b"11;")
        {
            self.awaited = false;
            if let Some(light) = is_light(colour) {
                out.push(Input::Background { light });
            }
        }
        self.ground();
    }
}

enum Sequence {
    PasteBegins,
    Sent(Input),
}

/// `ESC [ parameters byte`. What has intermediate bytes or private parameters is an answer, but for the mouse.
fn sequence(parameters: &[u8], last: u8) -> Option<Sequence> {
    let sent = |input| Some(Sequence::Sent(input));
    if let Some(report) = parameters.strip_prefix(b"<") {
        return mouse(report, last).and_then(|mouse| sent(Input::Mouse(mouse)));
    }
    let text = std::str::from_utf8(parameters).ok()?;
    if !text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, ';' | ':'))
    {
        return None;
    }
    let numbers: Vec<u32> = text
        .split(';')
        .map(|part| {
            part.split(':')
                .next()
                .unwrap_or_default()
                .parse()
                .unwrap_or(0)
        })
        .collect();
    let modifiers = modifiers(numbers.get(1).copied().unwrap_or(1));
    let code = match (last, numbers[0]) {
        (b'~', 200) => return Some(Sequence::PasteBegins),
        // xterm's modifyOtherKeys: the third number is the character.
        (b'~', 27) => character(*numbers.get(2)?)?,
        (b'~', number) => numbered(number)?,
        (b'u', number) => character(number)?,
        (b'I' | b'O', _) => {
            return text
                .is_empty()
                .then_some(Sequence::Sent(Input::Focus(last == b'I')));
        }
        (b'Z', _) => return sent(key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        // With two numbers it tells where the cursor is.
        (b'R', _) if numbers.len() > 1 => return None,
        (last, _) => letter(last)?,
    };
    sent(key(code, modifiers))
}

/// The key of a letter, in `ESC [ A` and `ESC O A`.
fn letter(letter: u8) -> Option<KeyCode> {
    Some(match letter {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'P'..=b'S' => KeyCode::F(letter - b'P' + 1),
        _ => return None,
    })
}

/// The key of a number, in `ESC [ 5 ~`.
fn numbered(number: u32) -> Option<KeyCode> {
    let function = |first: u32, less: u32| KeyCode::F((first - less) as u8);
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => function(number, 10),
        17..=21 => function(number, 11),
        23..=26 => function(number, 12),
        28 | 29 => function(number, 13),
        31..=34 => function(number, 14),
        _ => return None,
    })
}

fn character(number: u32) -> Option<KeyCode> {
    Some(match number {
        9 => KeyCode::Tab,
        13 => KeyCode::Enter,
        27 => KeyCode::Esc,
        8 | 127 => KeyCode::Backspace,
        number => KeyCode::Char(char::from_u32(number).filter(|c| !c.is_control())?),
    })
}

/// xterm's number for modifiers: one more than a set of bits.
fn modifiers(number: u32) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let all = [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
    ];
    let set = all.into_iter().filter(|(bit, _)| bits & bit != 0);
    set.fold(KeyModifiers::NONE, |all, (_, one)| all | one)
}

/// A report of the mouse as SGR, `ESC [ < what ; column ; row M`, or `m` for a button that is let go.
fn mouse(report: &[u8], last: u8) -> Option<MouseEvent> {
    let text = std::str::from_utf8(report).ok()?;
    let mut numbers = text.split(';').map(str::parse::<u16>);
    let (what, column, row) = (
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    );
    let button = match what & 3 {
        0 => MouseButton::Left,
        1 => MouseButton::Middle,
        _ => MouseButton::Right,
    };
    let wheel = what & 3;
    let kind = match (last, what & 0x60) {
        (b'M', 0x40) if wheel == 0 => MouseEventKind::ScrollUp,
        (b'M', 0x40) if wheel == 1 => MouseEventKind::ScrollDown,
        (b'M', 0x40) if wheel == 2 => MouseEventKind::ScrollLeft,
        (b'M', 0x40) => MouseEventKind::ScrollRight,
        (b'M', 0x20) if wheel == 3 => MouseEventKind::Moved,
        (b'M', 0x20) => MouseEventKind::Drag(button),
        (b'M', 0) => MouseEventKind::Down(button),
        (b'm', 0) => MouseEventKind::Up(button),
        _ => return None,
    };
    Some(MouseEvent {
        kind,
        column: column.saturating_sub(1),
        row: row.saturating_sub(1),
        modifiers: modifiers(u32::from(what >> 2 & 7) + 1),
    })
}

fn plain(code: KeyCode) -> Input {
    key(code, KeyModifiers::NONE)
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Input {
    Input::Key(KeyEvent::new(code, modifiers))
}

#[cfg(test)]
mod tests;
