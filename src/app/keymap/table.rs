//! The one table of keys: handling, the hint bar, the help screen and docs/KEYS.md are made from it.

use super::super::cursor::Motion;

/// Where a key means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In every pane of both dashboards.
    Everywhere,
    /// In every pane that is a list.
    List,
    /// In a pane that shows a directory.
    Directory,
    /// In `haul connect`, whatever the pane.
    Connect,
    /// In the list of the server's files at the client.
    Remote,
    /// In `haul serve`, whatever the pane.
    Serve,
    /// In the transfers of `haul connect`.
    Transfers,
    /// In the clients of `haul serve`.
    Clients,
    /// In the log.
    Log,
    /// While a line is typed.
    Prompt,
}

impl Scope {
    /// Every scope, in the order of docs/KEYS.md.
    pub const ALL: [Self; 10] = [
        Self::Everywhere,
        Self::List,
        Self::Directory,
        Self::Remote,
        Self::Connect,
        Self::Transfers,
        Self::Clients,
        Self::Serve,
        Self::Log,
        Self::Prompt,
    ];

    /// The heading in the help screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::List => "lists",
            Self::Directory => "directories",
            Self::Connect => "transfers",
            Self::Transfers => "trees",
            Self::Remote => "marks",
            Self::Serve => "server",
            Self::Clients => "clients",
            Self::Log => "log",
            Self::Prompt => "command line",
        }
    }

    /// Where its keys hold, in a sentence.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Everywhere => "In every pane of both dashboards.",
            Self::List => "In every pane that is a list.",
            Self::Directory => "In a pane that shows a directory.",
            Self::Connect => "In every pane of `haul connect`.",
            Self::Transfers => "In the transfers of `haul connect`.",
            Self::Remote => "In the list of the server's files in `haul connect`.",
            Self::Serve => "In every pane of `haul serve`.",
            Self::Clients => "In the clients of `haul serve`.",
            Self::Log => "In the log.",
            Self::Prompt => "While a line is typed.",
        }
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described once, in the table below")]
pub enum Action {
    Help,
    Command,
    NextPane,
    PreviousPane,
    Pane(u8),
    Zoom,
    Filter,
    Sort,
    Reverse,
    Theme,
    Copy,
    Redraw,
    Suspend,
    Back,
    Quit,
    Interrupt,
    Move(Motion),
    Open,
    Up,
    Hidden,
    Mark,
    Range,
    MarkAll,
    Marks,
    Count,
    Search,
    Previous,
    Bookmark,
    Detach,
    Places,
    Download,
    Update,
    Pause,
    PauseAll,
    Cancel,
    MoveDown,
    First,
    MoveUp,
    Retry,
    RetryAll,
    Clear,
    Undo,
    Info,
    Refresh,
    Limit,
    LimitOne,
    Unfold,
    Fold,
    PauseClient,
    Kick,
    Ban,
    Qr,
    Follow,
    Wrap,
    LessLog,
    MoreLog,
    Edit(Edit),
}

/// What a key does to the line that is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described once, in the table below")]
pub enum Edit {
    Accept,
    Cancel,
    Left,
    Right,
    WordLeft,
    WordRight,
    Start,
    End,
    DeleteLeft,
    DeleteRight,
    CutWord,
    CutWordRight,
    CutToStart,
    CutToEnd,
    Paste,
    Older,
    Newer,
    Search,
    Complete,
    CompleteBack,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Where it holds.
    pub scope: Scope,
    /// The action's name: the key of the INI section `[keys]`.
    pub name: &'static str,
    /// Keys that do the same, unless `[keys]` says otherwise; a space within one separates keys that follow each
    /// other.
    pub keys: &'static [&'static str],
    /// What they do.
    pub action: Action,
    /// The help screen's words.
    pub help: &'static str,
    /// Its place in the hint bar, if it has one.
    pub hint: Option<Hint>,
}

/// A binding's place in the hint bar.
#[derive(Debug, Clone, Copy)]
pub struct Hint {
    /// One word.
    pub label: &'static str,
    /// Hints stand in this order.
    pub place: u8,
    /// Where there is no room, those with the smallest go first.
    pub weight: u8,
}

const fn bind(
    scope: Scope,
    name: &'static str,
    keys: &'static [&'static str],
    action: Action,
    help: &'static str,
) -> Binding {
    Binding {
        scope,
        name,
        keys,
        action,
        help,
        hint: None,
    }
}

impl Binding {
    const fn hint(mut self, label: &'static str, place: u8, weight: u8) -> Self {
        self.hint = Some(Hint {
            label,
            place,
            weight,
        });
        self
    }
}

use Action::{Edit as E, Move};
use Scope::{Clients, Connect, Directory, Everywhere, List, Log, Prompt, Remote, Serve, Transfers};

/// Every key of both dashboards.
#[rustfmt::skip] // a table reads as one
pub const BINDINGS: &[Binding] = &[
    bind(Everywhere, "help", &["?", "F1"], Action::Help, "keys and commands").hint("help", 0, 90),
    bind(Everywhere, "command", &[":"], Action::Command, "type a command").hint("command", 1, 80),
    bind(Everywhere, "next-pane", &["Tab"], Action::NextPane, "next pane").hint("pane", 80, 35),
    bind(Everywhere, "previous-pane", &["Shift-Tab"], Action::PreviousPane, "previous pane"),
    bind(Everywhere, "pane-1", &["1"], Action::Pane(0), "first pane"),
    bind(Everywhere, "pane-2", &["2"], Action::Pane(1), "second pane"),
    bind(Everywhere, "pane-3", &["3"], Action::Pane(2), "third pane"),
    bind(Everywhere, "pane-4", &["4"], Action::Pane(3), "fourth pane"),
    bind(Everywhere, "zoom", &["z"], Action::Zoom, "this pane alone, and back").hint("zoom", 81, 10),
    bind(Everywhere, "filter", &["/"], Action::Filter, "filter the list").hint("filter", 30, 50),
    bind(Everywhere, "sort", &["s"], Action::Sort, "sort by the next key").hint("sort", 31, 30),
    bind(Everywhere, "reverse", &["S"], Action::Reverse, "turn the order round"),
    bind(Everywhere, "theme", &["t"], Action::Theme, "next theme"),
    bind(Everywhere, "copy", &["y"], Action::Copy, "copy the URL to the clipboard").hint("copy URL", 70, 5),
    bind(Everywhere, "redraw", &["Ctrl-l"], Action::Redraw, "draw afresh"),
    bind(Everywhere, "suspend", &["Ctrl-z"], Action::Suspend, "suspend; `fg` comes back"),
    bind(Everywhere, "back", &["Esc"], Action::Back, "back: range, filter, marks, zoom"),
    bind(Everywhere, "quit", &["q"], Action::Quit, "quit").hint("quit", 90, 85),
    bind(Everywhere, "interrupt", &["Ctrl-c"], Action::Interrupt, "ask to quit; twice quits"),
    bind(List, "down", &["j", "Down"], Move(Motion::Down), "down"),
    bind(List, "up", &["k", "Up"], Move(Motion::Up), "up"),
    bind(List, "top", &["g g", "Home"], Move(Motion::Top), "first row"),
    bind(List, "bottom", &["G", "End"], Move(Motion::Bottom), "last row"),
    bind(List, "page-down", &["PgDn"], Move(Motion::PageDown), "a page down"),
    bind(List, "page-up", &["PgUp", "Ctrl-b"], Move(Motion::PageUp), "a page up"),
    bind(List, "half-page-down", &["Ctrl-d"], Move(Motion::HalfDown), "half a page down"),
    bind(List, "half-page-up", &["Ctrl-u"], Move(Motion::HalfUp), "half a page up"),
    bind(Directory, "open", &["Enter", "l", "Right"], Action::Open, "open the directory").hint("open", 11, 28),
    bind(Directory, "parent", &["h", "Left", "Backspace"], Action::Up, "the directory above"),
    bind(Directory, "previous", &["-"], Action::Previous, "the directory that was shown before"),
    bind(Directory, "hidden", &["."], Action::Hidden, "show or hide names that begin with a dot"),
    bind(Remote, "mark", &["Space"], Action::Mark, "mark and step down").hint("mark", 10, 60),
    bind(Remote, "range", &["v"], Action::Range, "mark a range while moving; again to end it"),
    bind(Remote, "mark-all", &["Ctrl-a"], Action::MarkAll, "mark all, or none"),
    bind(Remote, "marks", &["M"], Action::Marks, "list what is marked, in all directories"),
    bind(Remote, "bookmark", &["b"], Action::Bookmark, "bookmark this directory of this server"),
    bind(Remote, "count", &["*"], Action::Count, "count directories: their size and files"),
    bind(Remote, "search-tree", &["Ctrl-f"], Action::Search, "search the names of the whole tree below").hint("find", 32, 29),
    bind(Remote, "download", &["d"], Action::Download, "download what is marked, or the current entry")
        .hint("download", 20, 70),
    bind(Remote, "update", &["U"], Action::Update, "fetch only what changed of what is here"),
    bind(Connect, "pause", &["p"], Action::Pause, "pause the current transfer, or resume it").hint("pause", 40, 55),
    bind(Connect, "pause-all", &["P"], Action::PauseAll, "pause all, or resume all"),
    bind(Connect, "cancel", &["x"], Action::Cancel, "cancel the current transfer").hint("cancel", 41, 54),
    bind(Connect, "move-down", &["J"], Action::MoveDown, "move it down the queue"),
    bind(Connect, "move-up", &["K"], Action::MoveUp, "move it up the queue"),
    bind(Connect, "first", &["F"], Action::First, "put it before all others; again to end that"),
    bind(Connect, "limit-one", &["R"], Action::LimitOne, "limit the rate of the current transfer"),
    bind(Connect, "retry", &["e"], Action::Retry, "try the current transfer again").hint("retry", 42, 36),
    bind(Connect, "retry-all", &["E"], Action::RetryAll, "try all failed ones again"),
    bind(Connect, "clear", &["c"], Action::Clear, "clear what is done or cancelled"),
    bind(Connect, "undo", &["u"], Action::Undo, "take back the last cancel or clear"),
    bind(Connect, "info", &["i"], Action::Info, "details of the current entry or transfer"),
    bind(Connect, "limit", &["L"], Action::Limit, "limit the rate of all downloads"),
    bind(Connect, "places", &["'"], Action::Places, "bookmarks, and servers used before"),
    bind(Connect, "detach", &["D"], Action::Detach, "leave the terminal: downloads go on without it"),
    bind(Connect, "refresh", &["r"], Action::Refresh, "list again; reconnect at once"),
    bind(Transfers, "unfold-tree", &["Enter", "l", "Right"], Action::Unfold, "unfold a tree into its files on the way, and fold"),
    bind(Transfers, "fold-tree", &["h", "Left"], Action::Fold, "fold"),
    bind(Clients, "unfold", &["Enter", "l", "Right"], Action::Unfold, "unfold into a row a file, and fold")
        .hint("unfold", 11, 40),
    bind(Clients, "fold", &["h", "Left"], Action::Fold, "fold"),
    bind(Clients, "pause-client", &["p"], Action::PauseClient, "pause the client, or let it go on")
        .hint("pause", 40, 55),
    bind(Clients, "kick", &["x"], Action::Kick, "end what the client fetches now; asks first")
        .hint("kick", 41, 54),
    bind(Clients, "ban", &["b"], Action::Ban, "kick the client and let it in no more; asks first")
        .hint("ban", 42, 15),
    bind(Clients, "client-info", &["i"], Action::Info, "details of the current client"),
    bind(Serve, "limit-clients", &["L"], Action::Limit, "limit the current client's rate, or that of all")
        .hint("limit", 43, 45),
    bind(Serve, "list", &["r"], Action::Refresh, "list the served directory again"),
    bind(Serve, "qr", &["Q"], Action::Qr, "the URL as a QR code, for a phone").hint("qr", 71, 34),
    bind(Log, "follow", &["f"], Action::Follow, "follow new lines").hint("follow", 20, 56),
    bind(Log, "wrap", &["w"], Action::Wrap, "wrap long lines").hint("wrap", 21, 55),
    bind(Log, "log-less", &["["], Action::LessLog, "fewer: only more severe lines").hint("less", 22, 25),
    bind(Log, "log-more", &["]"], Action::MoreLog, "more: less severe lines too").hint("more", 23, 24),
    bind(Prompt, "accept", &["Enter"], E(Edit::Accept), "run").hint("run", 0, 90),
    bind(Prompt, "cancel-line", &["Esc", "Ctrl-c", "Ctrl-g"], E(Edit::Cancel), "leave the line").hint("cancel", 1, 80),
    bind(Prompt, "complete", &["Tab"], E(Edit::Complete), "next completion").hint("complete", 2, 70),
    bind(Prompt, "complete-back", &["Shift-Tab"], E(Edit::CompleteBack), "previous completion"),
    bind(Prompt, "older", &["Up", "Ctrl-p"], E(Edit::Older), "older line").hint("history", 3, 60),
    bind(Prompt, "newer", &["Down", "Ctrl-n"], E(Edit::Newer), "newer line"),
    bind(Prompt, "search", &["Ctrl-r"], E(Edit::Search), "search older lines; again for the one before")
        .hint("search", 5, 45),
    bind(Prompt, "right", &["Right", "Ctrl-f"], E(Edit::Right), "right; at the end, takes the dimmed text")
        .hint("take", 4, 50),
    bind(Prompt, "left", &["Left", "Ctrl-b"], E(Edit::Left), "left"),
    bind(Prompt, "word-left", &["Alt-b", "Ctrl-Left", "Alt-Left"], E(Edit::WordLeft), "a word left"),
    bind(Prompt, "word-right", &["Alt-f", "Ctrl-Right", "Alt-Right"], E(Edit::WordRight), "a word right"),
    bind(Prompt, "line-start", &["Home", "Ctrl-a"], E(Edit::Start), "to the start"),
    bind(Prompt, "line-end", &["End", "Ctrl-e"], E(Edit::End), "to the end; takes the dimmed text"),
    bind(Prompt, "delete-left", &["Backspace", "Ctrl-h"], E(Edit::DeleteLeft), "delete to the left"),
    bind(Prompt, "delete-right", &["Del", "Ctrl-d"], E(Edit::DeleteRight), "delete to the right"),
    bind(Prompt, "cut-word", &["Ctrl-w", "Alt-Backspace"], E(Edit::CutWord), "cut a word"),
    bind(Prompt, "cut-word-right", &["Alt-d"], E(Edit::CutWordRight), "cut a word to the right"),
    bind(Prompt, "cut-to-start", &["Ctrl-u"], E(Edit::CutToStart), "cut to the start"),
    bind(Prompt, "cut-to-end", &["Ctrl-k"], E(Edit::CutToEnd), "cut to the end"),
    bind(Prompt, "paste", &["Ctrl-y"], E(Edit::Paste), "put back what was cut"),
];
