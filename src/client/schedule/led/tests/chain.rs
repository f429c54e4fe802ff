//! Redirects behind redirects of one file.

use super::*;

#[test]
fn five_redirects_in_a_row_are_followed_and_the_sixth_is_not() {
    let now = Instant::now();
    let mut task = task(ItemId(0));
    let mut from = named(0);
    for place in 0..5 {
        let at = led(place);
        assert_eq!(follow(&mut task, from, at, &hop("http://far"), now), Ok(()));
        // One redirect at a time is known of each first URL.
        let led: Vec<_> = task.led.iter().map(|led| (led.first, led.at)).collect();
        assert_eq!(led, [(named(0), at)]);
        from = at;
    }
    let sixth = follow(&mut task, from, led(5), &hop("http://far"), now);
    assert!(matches!(sixth, Err(Error::Unfollowed { .. })));
    assert_eq!((task.met.len(), task.led[0].hops), (5, 5));
    assert_eq!(task.redirecting, SourceSet::of(named(0)));
}

#[test]
fn a_first_url_that_redirects_again_leads_there_alone() {
    let now = Instant::now();
    let mut task = task(ItemId(0));
    task.tried = [named(1), led(2)].into_iter().collect();
    let far = hop("http://far");
    for (from, at) in [(0, 0), (1, 1), (0, 2)] {
        let followed = follow(&mut task, named(from), led(at), &far, now);
        assert_eq!(followed, Ok(()));
    }
    let leads: Vec<_> = task.led.iter().map(|led| (led.first, led.at)).collect();
    assert_eq!(leads, [(named(1), led(1)), (named(0), led(2))]);
    assert_eq!(task.led[1].hops, 1);
    assert_eq!(task.turned, Some(now));
    // Where it leads now it is asked for, whatever was said there before.
    assert_eq!(task.tried, SourceSet::of(named(1)));
}

#[test]
fn a_file_is_led_to_sixteen_others_and_to_no_more() {
    let now = Instant::now();
    let mut task = task(ItemId(0));
    let far = hop("http://far");
    // Those that the user named are no others.
    let home = follow(&mut task, named(0), named(1), &far, now);
    assert_eq!(home, Ok(()));
    task.led.clear();
    for place in 0..16 {
        let followed = follow(&mut task, named(0), led(place), &far, now);
        assert_eq!(followed, Ok(()));
    }
    let seventeenth = follow(&mut task, named(0), led(16), &far, now);
    assert!(matches!(seventeenth, Err(Error::Unfollowed { .. })));
    // One of the sixteen may serve it again.
    let again = follow(&mut task, named(0), led(3), &far, now);
    assert_eq!(again, Ok(()));
}
