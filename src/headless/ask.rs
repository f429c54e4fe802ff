//! Questions to the person at the terminal.

use std::io::{self, BufRead as _, Write as _};

use tokio::sync::oneshot;

/// Puts a question on stderr, and waits for a line on stdin: whether that is `yes`.
pub(super) async fn says_yes(question: String) -> bool {
    let (said, saying) = oneshot::channel();
    // Not the runtime's blocking pool: its end would wait for this read when a signal comes first.
    std::thread::spawn(move || {
        // In one piece: the question's end is where it waits.
        let _ = io::stderr().write_all(question.as_bytes());
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        // Nobody listens after a signal.
        let _ = said.send(read.is_ok() && answer.trim().eq_ignore_ascii_case("yes"));
    });
    saying.await.unwrap_or(false)
}
