use std::{io, time::Duration};

use super::*;
use crate::client::schedule::testing::{broken, login, path, status};
use crate::client::{ItemId, task::FileTask};

/// A server that the user named and that is alone; nobody watches, and nothing was sent ahead.
const ALONE: Standing = Standing {
    others: false,
    patient: false,
    stale: false,
    refuses: false,
    ahead: false,
    pipelined: false,
    progress: false,
    worn: false,
    led: false,
    first: false,
    flows: false,
    outdated: false,
};
const AMONG_OTHERS: Standing = Standing {
    others: true,
    ..ALONE
};
const WATCHED: Standing = Standing {
    patient: true,
    ..ALONE
};
const WORN: Standing = Standing {
    worn: true,
    ..ALONE
};
const ALL: [Hit; 8] = [Dial, Browse, List, Head, Open, Start, Run, Values];

fn but(mut at: Standing, change: impl FnOnce(&mut Standing)) -> Standing {
    change(&mut at);
    at
}

fn refused(code: u16) -> Fault {
    Fault::Refused(status(code))
}

fn busy(code: u16) -> Fault {
    Fault::Busy {
        error: status(code),
        retry_after: None,
    }
}

fn busy_for_a_second(code: u16) -> Fault {
    Fault::Busy {
        error: status(code),
        retry_after: Some(Duration::from_secs(1)),
    }
}

fn broke() -> Fault {
    Fault::Broke(broken())
}

fn connect() -> Error {
    Error::Connect {
        server: "s:80".into(),
        reason: "refused".into(),
        own: false,
    }
}

fn tls() -> Error {
    Error::Tls {
        server: "s:443".into(),
        reason: "no common version".into(),
    }
}

fn certificate() -> Error {
    Error::UntrustedCertificate {
        server: "s:443".into(),
        fingerprint: crate::tls::Fingerprint::of(b"certificate"),
        reason: "it is self-signed".into(),
    }
}

fn task() -> Box<FileTask> {
    Box::new(FileTask::new(ItemId(0), path("/f")))
}

/// Faults that say that the whole of a file is not what it should be.
fn wrong_wholes() -> [Fault; 2] {
    let list = "SHA256SUMS".into();
    [
        Fault::BadWhole(task()),
        Fault::Unlisted(task(), Error::Listed { list }),
    ]
}

#[test]
fn what_the_server_asks_of_this_client_comes_before_how_things_stand() {
    let hurried = Standing {
        others: true,
        stale: true,
        ahead: true,
        pipelined: true,
        ..WORN
    };
    let kicked = Fault::Kicked {
        reason: "too many".into(),
        time: None,
    };
    let banned = Fault::Banned(Error::Banned("spam".into()));
    for hit in ALL {
        for at in [ALONE, hurried] {
            assert_eq!(follows(&Fault::Interrupted, hit, at), Again);
            assert_eq!(follows(&Fault::Paused(None), hit, at), Hold);
            assert_eq!(follows(&kicked, hit, at), Hold);
            assert_eq!(follows(&banned, hit, at), Drop);
        }
    }
}

#[test]
fn a_server_out_of_reach_rests_unless_no_other_try_can_help() {
    for at in [ALONE, AMONG_OTHERS, WATCHED, WORN] {
        assert_eq!(follows(&Fault::Unreachable(connect()), Dial, at), Rest);
        assert_eq!(follows(&Fault::Unreachable(tls()), Dial, at), Drop);
    }
}

#[test]
fn a_certificate_is_asked_about_where_somebody_watches_and_they_named_the_server() {
    let unsure = Fault::Unreachable(certificate());
    assert_eq!(follows(&unsure, Dial, WATCHED), Ask);
    assert_eq!(follows(&unsure, Dial, ALONE), Drop);
    let led = but(WATCHED, |at| at.led = true);
    assert_eq!(follows(&unsure, Dial, led), Drop);
}

#[test]
fn whole_pieces_that_came_are_not_asked_for_again_and_nobody_is_blamed() {
    let progress = but(ALONE, |at| at.progress = true);
    assert_eq!(follows(&broke(), Run, progress), Again);
    let others = but(progress, |at| at.others = true);
    assert_eq!(follows(&broke(), Run, others), Again);
    assert_eq!(follows(&broke(), Run, ALONE), Retry);
}

#[test]
fn a_kept_connection_that_broke_blames_nobody() {
    let stale = but(AMONG_OTHERS, |at| at.stale = true);
    for hit in [Browse, List, Head, Open, Start, Run, Values] {
        assert_eq!(follows(&broke(), hit, stale), Again, "{hit:?}");
    }
}

#[test]
fn what_a_connection_broke_at_goes_to_others_unless_all_fail() {
    let cases = [
        (AMONG_OTHERS, Elsewhere),
        (but(AMONG_OTHERS, |at| at.worn = true), Retry),
        (ALONE, Retry),
        (WORN, Retry),
    ];
    for (at, follow) in cases {
        assert_eq!(follows(&broke(), Open, at), follow, "{at:?}");
    }
    // Values count their own tries, and are asked for again while pieces flow.
    assert_eq!(follows(&broke(), Values, AMONG_OTHERS), Retry);
}

#[test]
fn a_server_that_closes_unanswered_rests_where_nobody_else_is_left() {
    let refuses = but(ALONE, |at| at.refuses = true);
    assert_eq!(follows(&broke(), Open, refuses), RetryAndRest);
    let others = but(refuses, |at| at.others = true);
    assert_eq!(follows(&broke(), Open, others), Elsewhere);
    let worn = but(others, |at| at.worn = true);
    assert_eq!(follows(&broke(), Open, worn), RetryAndRest);
}

#[test]
fn a_head_that_is_refused_is_asked_for_as_a_file() {
    for at in [ALONE, AMONG_OTHERS, WATCHED, WORN] {
        for code in [403, 404, 405, 501] {
            assert_eq!(follows(&refused(code), Head, at), Get, "{code}");
        }
        for code in [500, 502] {
            assert_eq!(follows(&busy(code), Head, at), Get, "{code}");
        }
    }
    // It would be asked even more.
    for code in [429, 503] {
        assert_eq!(follows(&busy(code), Head, ALONE), Slower, "{code}");
    }
}

#[test]
fn what_was_sent_ahead_and_refused_for_load_is_asked_for_alone_unless_a_time_is_named() {
    let ahead = but(ALONE, |at| at.ahead = true);
    let others = but(ahead, |at| at.others = true);
    assert_eq!(follows(&busy(503), Open, ahead), Alone);
    assert_eq!(follows(&busy(503), Open, others), Alone);
    assert_eq!(follows(&busy_for_a_second(503), Open, ahead), Slower);
    assert_eq!(follows(&busy_for_a_second(503), Open, others), Elsewhere);
    // What stood behind it says nothing about it.
    let behind = but(ALONE, |at| at.pipelined = true);
    assert_eq!(follows(&busy(503), Open, behind), Slower);
}

#[test]
fn a_busy_server_is_asked_less_until_it_has_refused_too_often() {
    let worn_among_others = but(WORN, |at| at.others = true);
    for fault in [busy(503), busy_for_a_second(429)] {
        for hit in [List, Open, Start, Run] {
            assert_eq!(follows(&fault, hit, ALONE), Slower, "{hit:?}");
            assert_eq!(follows(&fault, hit, AMONG_OTHERS), Elsewhere, "{hit:?}");
            assert_eq!(follows(&fault, hit, WORN), Fail, "{hit:?}");
            assert_eq!(follows(&fault, hit, worn_among_others), Fail, "{hit:?}");
        }
        // Whoever looks at a directory is told rather than kept waiting.
        assert_eq!(follows(&fault, Browse, ALONE), Fail);
        assert_eq!(follows(&fault, Browse, AMONG_OTHERS), Elsewhere);
        // Values count their own tries.
        assert_eq!(follows(&fault, Values, ALONE), Retry);
        assert_eq!(follows(&fault, Values, WORN), Retry);
        assert_eq!(follows(&fault, Values, AMONG_OTHERS), Elsewhere);
    }
}

#[test]
fn what_fails_inside_for_one_file_is_left_to_others_or_counts_as_that_files_own_tries() {
    let worn_among_others = but(WORN, |at| at.others = true);
    for fault in [busy(408), busy(500), busy(502), busy_for_a_second(504)] {
        for hit in [List, Open, Start] {
            assert_eq!(follows(&fault, hit, ALONE), Retry, "{hit:?}");
            assert_eq!(follows(&fault, hit, WORN), Retry, "{hit:?}");
            assert_eq!(follows(&fault, hit, AMONG_OTHERS), LeaveOut, "{hit:?}");
            assert_eq!(follows(&fault, hit, worn_among_others), LeaveOut);
        }
        assert_eq!(follows(&fault, Run, ALONE), Retry);
        assert_eq!(follows(&fault, Run, WORN), Retry);
        // Pieces that come later may be had from it.
        assert_eq!(follows(&fault, Run, AMONG_OTHERS), Elsewhere);
        assert_eq!(follows(&fault, Browse, ALONE), Fail);
        assert_eq!(follows(&fault, Browse, AMONG_OTHERS), LeaveOut);
        assert_eq!(follows(&fault, Values, ALONE), Retry);
        assert_eq!(follows(&fault, Values, AMONG_OTHERS), Elsewhere);
    }
    // A refusal that ends by itself is about whoever asks, not about the file.
    let error = Error::Status {
        status: 403,
        retry_after: Some(Duration::from_secs(1)),
        said: None,
    };
    let ends = Fault::of(error, None);
    assert_eq!(follows(&ends, Open, ALONE), Slower);
    assert_eq!(follows(&ends, Open, WORN), Fail);
}

#[test]
fn what_was_asked_before_the_file_turned_elsewhere_is_asked_again() {
    let outdated = but(AMONG_OTHERS, |at| at.outdated = true);
    for fault in [refused(404), refused(400), Fault::Login(login())] {
        for hit in [Run, Values] {
            assert_eq!(follows(&fault, hit, outdated), Again, "{hit:?}");
        }
        assert_eq!(follows(&fault, Open, outdated), LeaveOut);
    }
}

#[test]
fn a_url_that_may_have_expired_is_asked_for_where_it_was_led_from() {
    let first = but(ALONE, |at| (at.led, at.first) = (true, true));
    let others = but(first, |at| at.others = true);
    for code in [400, 401, 403, 404, 410] {
        assert_eq!(follows(&refused(code), Open, first), First, "{code}");
        assert_eq!(follows(&refused(code), Run, others), First, "{code}");
        assert_eq!(follows(&refused(code), Open, ALONE), Fail, "{code}");
    }
    for code in [402, 405, 416, 451, 501] {
        assert_eq!(follows(&refused(code), Open, first), Fail, "{code}");
    }
    assert_eq!(follows(&Fault::Refused(tls()), Open, first), Fail);
    let watched = but(first, |at| at.patient = true);
    assert_eq!(follows(&Fault::Login(login()), Open, watched), First);
}

#[test]
fn a_login_is_asked_of_who_watches_and_fails_where_nobody_does() {
    for hit in [List, Head, Open, Start, Run, Values] {
        assert_eq!(
            follows(&Fault::Login(login()), hit, WATCHED),
            Ask,
            "{hit:?}"
        );
        assert_eq!(follows(&Fault::Login(login()), hit, ALONE), Fail, "{hit:?}");
        assert_eq!(
            follows(&Fault::Login(login()), hit, AMONG_OTHERS),
            LeaveOut,
            "{hit:?}"
        );
    }
    // Others that have the file do not answer the question.
    let others = but(WATCHED, |at| at.others = true);
    assert_eq!(follows(&Fault::Login(login()), Open, others), Ask);
    // Who looks at a directory is told, and is asked there.
    assert_eq!(follows(&Fault::Login(login()), Browse, WATCHED), Fail);
    // No login is sent along a redirect.
    let led = but(WATCHED, |at| at.led = true);
    assert_eq!(follows(&Fault::Login(login()), Open, led), Fail);
}

#[test]
fn a_refusal_that_may_be_of_another_request_is_asked_for_alone() {
    let pipelined = but(ALONE, |at| at.pipelined = true);
    for code in [400, 402, 405, 416, 501] {
        assert_eq!(follows(&refused(code), Open, pipelined), Alone, "{code}");
        assert_eq!(follows(&refused(code), Open, ALONE), Fail, "{code}");
    }
    for code in [401, 403, 404, 410, 451] {
        assert_eq!(follows(&refused(code), Open, pipelined), Fail, "{code}");
    }
    assert_eq!(follows(&Fault::Refused(tls()), Open, pipelined), Fail);
    // Before the URL is taken for expired.
    let first = but(pipelined, |at| at.first = true);
    assert_eq!(follows(&refused(400), Open, first), Alone);
    assert_eq!(follows(&refused(404), Open, first), First);
}

#[test]
fn pieces_that_are_refused_while_others_fetch_some_are_asked_for_later() {
    let flows = but(AMONG_OTHERS, |at| at.flows = true);
    for fault in [refused(404), refused(403), Fault::Login(login())] {
        assert_eq!(follows(&fault, Run, flows), Later);
        assert_eq!(follows(&fault, Run, AMONG_OTHERS), LeaveOut);
        assert_eq!(follows(&fault, Values, flows), LeaveOut);
    }
}

#[test]
fn a_file_whose_ranges_are_refused_is_asked_for_as_a_whole() {
    for code in [400, 403, 416, 501] {
        // At first of whoever is asked; later of nobody as long as others give pieces.
        assert_eq!(follows(&refused(code), Start, AMONG_OTHERS), Whole);
        assert_eq!(follows(&refused(code), Start, ALONE), Whole, "{code}");
        assert_eq!(follows(&refused(code), Run, AMONG_OTHERS), LeaveOut);
        assert_eq!(follows(&refused(code), Run, ALONE), Whole, "{code}");
        assert_eq!(follows(&refused(code), Open, ALONE), Fail, "{code}");
    }
    for code in [401, 404, 405, 410] {
        assert_eq!(follows(&refused(code), Start, AMONG_OTHERS), LeaveOut);
        assert_eq!(follows(&refused(code), Start, ALONE), Fail, "{code}");
        assert_eq!(follows(&refused(code), Run, ALONE), Fail, "{code}");
    }
    assert_eq!(follows(&Fault::NoRanges, Run, AMONG_OTHERS), LeaveOut);
    assert_eq!(follows(&Fault::NoRanges, Run, ALONE), Whole);
    assert_eq!(follows(&Fault::NoRanges, Start, AMONG_OTHERS), Whole);
}

#[test]
fn a_file_that_changed_is_begun_anew() {
    for at in [ALONE, AMONG_OTHERS] {
        assert_eq!(follows(&Fault::Changed, Run, at), Restart);
        assert_eq!(follows(&Fault::Changed, Values, at), Restart);
        // Nothing of it is here yet.
        assert_eq!(follows(&Fault::Changed, Open, at), Retry);
    }
    assert_eq!(follows(&Fault::Foreign, Run, AMONG_OTHERS), LeaveOut);
    assert_eq!(follows(&Fault::Foreign, Run, ALONE), Restart);
}

#[test]
fn who_tells_wrong_values_is_dropped_where_others_are_left() {
    let led = but(ALONE, |at| at.led = true);
    let led_among_others = but(led, |at| at.others = true);
    let cases = [
        (AMONG_OTHERS, Drop),
        // A redirect led there for this file alone.
        (led_among_others, LeaveOut),
        (led, Retry),
        (ALONE, Retry),
    ];
    for (at, follow) in cases {
        assert_eq!(follows(&Fault::BadValues, Values, at), follow, "{at:?}");
    }
}

#[test]
fn a_wrong_whole_is_asked_of_others_or_again() {
    for fault in wrong_wholes() {
        assert_eq!(follows(&fault, Open, AMONG_OTHERS), LeaveOut);
        assert_eq!(follows(&fault, Open, ALONE), Retry);
    }
}

#[test]
fn what_no_server_can_help_with_fails() {
    let disk = Error::disk("f", &io::Error::from(io::ErrorKind::StorageFull));
    let bad_piece = Fault::BadPiece(Error::Integrity { piece: Some(1) });
    for fault in [Fault::NoMirror, Fault::Local(disk), bad_piece] {
        for at in [ALONE, AMONG_OTHERS, WATCHED] {
            assert_eq!(follows(&fault, Run, at), Fail, "{fault:?}");
        }
    }
}

#[test]
fn an_answer_that_cannot_be_used_is_asked_for_again_where_that_may_help() {
    let undecodable = Fault::Other(Error::Undecodable("a short block".into()));
    let encoded = Fault::Other(Error::Encoded("br".into()));
    for hit in [List, Open, Run] {
        assert_eq!(follows(&undecodable, hit, AMONG_OTHERS), Retry, "{hit:?}");
        assert_eq!(follows(&encoded, hit, ALONE), Fail, "{hit:?}");
    }
    assert_eq!(follows(&encoded, Open, AMONG_OTHERS), LeaveOut);
    assert_eq!(follows(&encoded, Run, AMONG_OTHERS), Fail);
}
