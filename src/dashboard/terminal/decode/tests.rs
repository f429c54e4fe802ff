use proptest::prelude::*;

use super::*;

fn decoded(bytes: &[u8]) -> Vec<Input> {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    decoder.feed(bytes, &mut out);
    while decoder.patience().is_some() {
        decoder.silence(&mut out);
    }
    out
}

/// Byte by byte, each after such a silence that nothing is waited for any longer but what is kept for late answers.
fn dribbled(bytes: &[u8]) -> Vec<Input> {
    let mut decoder = Decoder {
        awaited: true,
        ..Decoder::default()
    };
    let mut out = Vec::new();
    for byte in bytes {
        decoder.feed(&[*byte], &mut out);
        // A line so slow that a tenth of a second lies between two bytes.
        if decoder
            .patience()
            .is_some_and(|time| time < Duration::from_millis(100))
        {
            decoder.silence(&mut out);
        }
    }
    while decoder.patience().is_some() {
        decoder.silence(&mut out);
    }
    out
}

fn typed(c: char) -> Input {
    plain(KeyCode::Char(c))
}

#[test]
fn keys_are_what_terminals_send_for_them() {
    let ctrl = |c| key(KeyCode::Char(c), KeyModifiers::CONTROL);
    let alt = |c| key(KeyCode::Char(c), KeyModifiers::ALT);
    for (bytes, expected) in [
        ("a", typed('a')),
        ("ü", typed('ü')),
        ("日", typed('日')),
        ("\r", plain(KeyCode::Enter)),
        ("\t", plain(KeyCode::Tab)),
        ("\x7f", plain(KeyCode::Backspace)),
        ("\x03", ctrl('c')),
        ("\n", ctrl('j')),
        ("\x1b", plain(KeyCode::Esc)),
        ("\x1bb", alt('b')),
        ("\x1b]", alt(']')),
        ("\x1b[", alt('[')),
        ("\x1bO", alt('O')),
        ("\x1b[A", plain(KeyCode::Up)),
        ("\x1bOB", plain(KeyCode::Down)),
        ("\x1b[1;5C", key(KeyCode::Right, KeyModifiers::CONTROL)),
        ("\x1b[Z", key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        ("\x1b[5~", plain(KeyCode::PageUp)),
        ("\x1b[3;5~", key(KeyCode::Delete, KeyModifiers::CONTROL)),
        ("\x1bOP", plain(KeyCode::F(1))),
        ("\x1b[[B", plain(KeyCode::F(2))),
        ("\x1b[24~", plain(KeyCode::F(12))),
        ("\x1b[99;5u", ctrl('c')),
        ("\x1b[27;5;99~", ctrl('c')),
        (
            "\x1b[200~a\n\x1bb\x1b[201~",
            Input::Paste("a\n\x1bb".into()),
        ),
        (
            "\x1b[<0;10;4M",
            Input::Mouse(MouseEvent {
                kind: MouseEventKind::Down(MouseButton::Left),
                column: 9,
                row: 3,
                modifiers: KeyModifiers::NONE,
            }),
        ),
    ] {
        assert_eq!(decoded(bytes.as_bytes()), [expected], "{bytes:?}");
    }
}

/// Everything that a terminal tells by itself or when asked, by its name.
const ANSWERS: [(&str, &str); 16] = [
    ("OSC 11, ST", "\x1b]11;rgb:0b0b/dede/fcfc\x1b\\"),
    ("OSC 11, BEL", "\x1b]11;rgb:0b0b/dede/fcfc\x07"),
    ("OSC 10", "\x1b]10;rgb:ffff/ffff/ffff\x1b\\"),
    ("OSC 4", "\x1b]4;1;rgb:cccc/0000/0000\x07"),
    ("OSC 52", "\x1b]52;c;cXE=\x1b\\"),
    ("DA1", "\x1b[?62;22;52c"),
    ("DA2", "\x1b[>0;276;0c"),
    ("DA3", "\x1bP!|00000000\x1b\\"),
    ("XTVERSION", "\x1bP>|XTerm(390)\x1b\\"),
    ("XTGETTCAP", "\x1bP1+r544e=787465726d\x1b\\"),
    ("DECRQSS", "\x1bP1$r0m\x1b\\"),
    ("DECRQM", "\x1b[?2026;2$y"),
    ("CPR", "\x1b[12;40R"),
    ("DSR", "\x1b[0n"),
    ("XTWINOPS", "\x1b[8;24;80t"),
    ("kitty", "\x1b_Gi=31;OK\x1b\\"),
];

#[test]
fn answers_are_never_keys_however_they_come() {
    let keys = |input: Vec<Input>| {
        let told = |input: &Input| matches!(input, Input::Background { .. });
        input.into_iter().filter(|i| !told(i)).collect::<Vec<_>>()
    };
    for (name, answer) in ANSWERS {
        assert_eq!(keys(decoded(answer.as_bytes())), [], "{name}");
        assert_eq!(
            keys(dribbled(answer.as_bytes())),
            [],
            "{name}, byte by byte"
        );
        let among = format!("a{answer}b");
        assert_eq!(
            keys(decoded(among.as_bytes())),
            [typed('a'), typed('b')],
            "{name}"
        );
        // Parted anywhere, with a silence between.
        for at in 2..answer.len() {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            decoder.feed(&answer.as_bytes()[..at], &mut out);
            if decoder.patience().is_some_and(|time| time < LOST) {
                decoder.silence(&mut out);
            }
            decoder.feed(&answer.as_bytes()[at..], &mut out);
            assert_eq!(keys(out), [], "{name} parted at {at}");
        }
    }
}

#[test]
fn the_background_is_light_or_dark() {
    for (colour, light) in [
        ("rgb:ffff/ffff/ffff", true),
        ("rgb:0b0b/0e0e/1414", false),
        ("rgb:e/f/f", true),
        ("rgba:1e1e/1e1e/2e2e/ffff", false),
        ("#fdf6e3", true),
        ("#002b36", false),
    ] {
        let answer = format!("\x1b]11;{colour}\x07");
        assert_eq!(decoded(answer.as_bytes()), [Input::Background { light }]);
    }
    assert_eq!(decoded(b"\x1b]11;rgb:x/y\x07"), []);
}

#[test]
fn a_string_that_never_ends_takes_no_keys_for_ever() {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    decoder.feed(b"\x1b]11;rgb:0b0b", &mut out);
    assert_eq!(decoder.patience(), Some(LOST));
    decoder.silence(&mut out);
    decoder.feed(b"q", &mut out);
    assert_eq!(out, [typed('q')]);
    // Nor does one that another sequence ends.
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    decoder.feed(b"\x1b]11;rgb\x1b[Aq", &mut out);
    assert_eq!(out, [plain(KeyCode::Up), typed('q')]);
}

#[test]
fn a_long_burst_is_read_to_its_end() {
    let mut bytes = b"\x1b[<35;10;10M".repeat(350);
    bytes.extend(b"jk".repeat(5000));
    bytes.push(b'q');
    let out = decoded(&bytes);
    assert_eq!(out.len(), 350 + 10_000 + 1);
    assert_eq!(out.last(), Some(&typed('q')));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However bytes are portioned, they mean the same.
    #[test]
    fn portions_change_nothing(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "ü", "日", "\x1b[A", "\x1b[<0;1;1M", "\x1b[200~x\x1b[201~", "\x1b]11;#fff\x07", "\x1b[?62c",
                "\x1bP>|x\x1b\\", "\r", "\x1bb", "\x03",
            ]),
            0..12,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = parts.concat().into_bytes();
        let at = cut.index(bytes.len() + 1);
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        decoder.feed(&bytes[..at], &mut out);
        decoder.feed(&bytes[at..], &mut out);
        prop_assert_eq!(out, decoded(&bytes));
    }

    /// Whatever comes, a key that follows it, after a while, is a key.
    #[test]
    fn nothing_takes_keys_for_ever(bytes in any::<Vec<u8>>()) {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        decoder.feed(&bytes, &mut out);
        for _ in 0..4 {
            if decoder.patience().is_some() {
                decoder.silence(&mut out);
            }
        }
        decoder.feed(b"q", &mut out);
        prop_assert_eq!(out.last(), Some(&typed('q')));
    }
}
