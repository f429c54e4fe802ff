//! HTTP dates (RFC 9110 §5.6.7), in whole seconds since 1970.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use httpdate::HttpDate;

/// The last second that an HTTP date can name: 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;

/// Whole seconds since 1970; what lies before counts as 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        .min(LAST_SECOND)
}

/// Seconds since 1970 as an `IMF-fixdate`.
pub fn format(seconds: u64) -> HttpDate {
    HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND)))
}

/// Reads any of the three forms of an HTTP date.
pub fn parse(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    httpdate::parse_http_date(text).ok().map(seconds)
}

/// Calls `write` with the text of now's date, which each thread makes once a second.
pub fn with_now<R>(now: u64, write: impl FnOnce(&str) -> R) -> R {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    LAST.with_borrow_mut(|(second, text)| {
        if *second != now || text.is_empty() {
            *second = now;
            *text = format(now).to_string();
        }
        write(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_read_in_every_form() {
        let text = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(format(784_111_777).to_string(), text);
        for form in [
            text,
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(form.as_bytes()), Some(784_111_777), "{form}");
        }
        assert_eq!(parse(b"yesterday"), None);
        assert_eq!(with_now(784_111_777, str::to_owned), text);
        assert_eq!(
            with_now(784_111_778, str::to_owned),
            text.replace("37", "38")
        );
    }

    #[test]
    fn times_out_of_range_do_not_panic() {
        let before = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(
            format(seconds(before)).to_string(),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert!(format(u64::MAX).to_string().contains("9999"));
    }
}
