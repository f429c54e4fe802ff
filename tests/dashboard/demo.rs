//! `haul demo` on a terminal: slow enough to be watched, and it says what to try.

use super::pty::haul;

#[test]
fn it_says_what_to_try_and_is_slow_until_it_is_told_otherwise() {
    let mut pty = haul(&["demo", "--theme", "dark"]);
    pty.expect("Try: Ctrl-a marks all, d downloads it");
    pty.expect("32k/");
    pty.press("\x01d");
    pty.expect("added to the queue");
    pty.expect("active");
    // At full speed all of it is there within a moment.
    pty.press(":limit off\r");
    pty.expect("5 done");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    pty.is_restored();
}
