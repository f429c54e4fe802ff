//! What the terminal emulator takes beyond what all do, as far as its environment tells. What is not known to be taken is
//! not sent: a terminal may print it, or show each percent as a notification.

use std::{env, io::IsTerminal};

/// How a terminal is asked to show a notification on the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    /// OSC 99, kitty's.
    Kitty,
    /// OSC 777, rxvt's, with a title.
    Titled,
    /// OSC 9, iTerm2's.
    Plain,
}

impl Notification {
    /// The one that this process's terminal takes.
    pub fn here() -> Option<Self> {
        Self::of(|name| env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let term = variable("TERM").unwrap_or_default();
        // A multiplexer passes none on, and the variables of what it runs in remain.
        if ["screen", "tmux"].iter().any(|name| term.starts_with(name)) {
            return None;
        }
        if term == "xterm-kitty" {
            return Some(Self::Kitty);
        }
        let titled = ["foot", "rxvt-unicode", "xterm-ghostty", "wezterm"];
        if titled.iter().any(|name| term.starts_with(name)) {
            return Some(Self::Titled);
        }
        match variable("TERM_PROGRAM").as_deref() {
            Some("WezTerm" | "ghostty") => Some(Self::Titled),
            Some("iTerm.app") => Some(Self::Plain),
            _ => None,
        }
    }

    /// The bytes that show `text` under the program's name. Control characters are left out.
    pub fn sequence(self, text: &str) -> String {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        match self {
            // Two parts of one notification: its title, and its text, which ends it.
            Self::Kitty => {
                format!("\x1b]99;i=haul:d=0;haul\x1b\\\x1b]99;i=haul:d=1:p=body;{text}\x1b\\")
            }
            // A semicolon begins the next part.
            Self::Titled => format!("\x1b]777;notify;haul;{}\x1b\\", text.replace(';', ",")),
            // What begins with a number and a semicolon would be another sequence of ConEmu's.
            Self::Plain => format!("\x1b]9;haul: {text}\x1b\\"),
        }
    }
}

/// Whether this process's terminal shows progress (OSC 9;4).
pub fn takes_progress() -> bool {
    anstyle_progress::supports_term_progress(true)
}

/// Whether `stream` is a terminal that is known to show links (OSC 8).
pub fn takes_links(stream: &impl IsTerminal) -> bool {
    // A multiplexer shows them where what it runs in does, which nobody can tell from within.
    let term = env::var("TERM").unwrap_or_default();
    let within = ["screen", "tmux"].iter().any(|name| term.starts_with(name));
    let more = ["foot", "xterm-ghostty"].iter();
    stream.is_terminal()
        && !within
        && (supports_hyperlinks::supports_hyperlinks()
            || more.into_iter().any(|name| term.starts_with(name)))
}

/// `text` as a link to `url`, which holds no control characters (OSC 8).
pub fn link(text: &str, url: &str) -> String {
    format!("\x1b]8;;{url}\x1b\\{text}\x1b]8;;\x1b\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_has_the_form_that_the_terminal_knows() {
        use Notification::{Kitty, Plain, Titled};
        for (term, program, form) in [
            ("xterm-kitty", None, Some(Kitty)),
            ("foot-extra", None, Some(Titled)),
            ("rxvt-unicode-256color", None, Some(Titled)),
            ("xterm-ghostty", None, Some(Titled)),
            ("xterm-256color", Some("WezTerm"), Some(Titled)),
            ("xterm-256color", Some("iTerm.app"), Some(Plain)),
            ("tmux-256color", Some("WezTerm"), None),
            ("screen.xterm-kitty", None, None),
            ("xterm-256color", None, None),
            ("linux", None, None),
            ("", None, None),
        ] {
            let told = Notification::of(|name| match name {
                "TERM" => Some(term.to_owned()),
                "TERM_PROGRAM" => program.map(str::to_owned),
                _ => None,
            });
            assert_eq!(told, form, "{term} {program:?}");
        }
    }

    #[test]
    fn a_notifications_text_ends_no_sequence() {
        let text = "a;b\x1b]0;x\x07\u{9c}";
        assert_eq!(
            Notification::Titled.sequence(text),
            "\x1b]777;notify;haul;a,b]0,x\x1b\\"
        );
        assert_eq!(
            Notification::Plain.sequence(text),
            "\x1b]9;haul: a;b]0;x\x1b\\"
        );
        assert!(
            Notification::Kitty
                .sequence(text)
                .ends_with(";a;b]0;x\x1b\\")
        );
    }
}
