//! What a page looks like: an empty listing, or what else.

use html5gum::StartTag;

use super::Error;
use crate::escape::display_name;

/// How titles and headings of listings begin: Apache, nginx, lighttpd, thttpd; python, rclone, Tomcat; Jetty; webfs; others.
const HEADINGS: [&str; 10] = [
    "index of",
    "directory listing",
    "directory:",
    "listing of",
    "listing:",
    "contents of",
    "files within",
    "files in",
    "folder listing",
    "file listing",
];
/// How what follows `directory listing` begins where there is none.
const DENIALS: [&str; 5] = ["denied", "disabled", "forbidden", "is ", "not "];
/// Bytes of a title or heading that are looked at.
const HEADING_MAX: usize = 512;

/// What was seen of a page.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each was seen, or not")]
pub struct Looks {
    entries: bool,
    /// Its title or heading is a listing's.
    headed: bool,
    /// It has a link to the directory above.
    up: bool,
    /// It has links that may be entries, but are not taken for any.
    passed_over: bool,
    /// It leads on to another page.
    led_on: bool,
    password: bool,
    script: bool,
    pre: bool,
    /// Bytes of text that is not blank.
    text: usize,
    tags: bool,
    title: String,
    /// The title or heading that is being read.
    reading: Option<String>,
    refresh: Option<String>,
    /// It was not looked at yet where the page leads on to.
    leads_on: bool,
}

impl Looks {
    /// A tag began.
    pub fn tag(&mut self, tag: &StartTag<usize>) {
        self.tags = true;
        match tag.name.as_slice() {
            b"title" | b"h1" | b"h2" => self.reading = Some(String::new()),
            b"script" => self.script = true,
            b"pre" => self.pre = true,
            b"input" => {
                let kind = attribute(tag, b"type").unwrap_or_default();
                self.password |= kind.eq_ignore_ascii_case(b"password");
            }
            b"meta" => {
                let refresh = attribute(tag, b"http-equiv")
                    .is_some_and(|what| what.eq_ignore_ascii_case(b"refresh"));
                let content = attribute(tag, b"content").filter(|_| refresh);
                let target = content.and_then(|content| target(&String::from_utf8_lossy(content)));
                if target.is_some() && target != self.refresh {
                    self.refresh = target;
                    self.leads_on = true;
                }
            }
            _ => {}
        }
    }

    /// Where the page leads on to, told once.
    pub fn refreshes(&mut self) -> Option<String> {
        std::mem::take(&mut self.leads_on).then(|| self.refresh.clone())?
    }

    /// A tag ended.
    pub fn end(&mut self) {
        let Some(heading) = self.reading.take() else {
            return;
        };
        let heading = heading.split_whitespace().collect::<Vec<_>>().join(" ");
        let lower = heading.to_ascii_lowercase();
        let denied = lower
            .strip_prefix("directory listing ")
            .is_some_and(|rest| DENIALS.iter().any(|start| rest.starts_with(start)));
        self.headed |= !denied && HEADINGS.iter().any(|start| lower.starts_with(start));
        if self.title.is_empty() {
            self.title = heading;
        }
    }

    /// Text came.
    pub fn text(&mut self, text: &[u8]) {
        self.text += text.trim_ascii().len();
        if let Some(reading) = &mut self.reading
            && reading.len() < HEADING_MAX
        {
            reading.push_str(&String::from_utf8_lossy(text));
        }
    }

    /// A link with this target and text; whether it leads to the directory above.
    pub fn linked(&mut self, href: &[u8], text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        let up = matches!(href.trim_ascii(), b"../" | b".." | b"./..")
            || matches!(text.trim(), "../" | "..")
            || text.contains("parent dir");
        self.up |= up;
        up
    }

    /// An entry was found.
    pub fn has_entries(&mut self) {
        self.entries = true;
    }

    /// A link was passed over that may name an entry.
    pub fn passed_over(&mut self) {
        self.passed_over = true;
    }

    /// The page leads on to another.
    pub fn led_on(&mut self) {
        self.led_on = true;
    }

    /// Why there may be more than a listing names, if there may. What has entries has links of other kinds as well.
    fn partial(&self) -> Option<&'static str> {
        if self.led_on {
            Some("the page leads on to another")
        } else if self.passed_over && !self.entries {
            Some("the page has only links that lead elsewhere")
        } else {
            None
        }
    }

    /// Whether the page is a listing, be it of nothing, and why there may be more than it names; else what it is.
    ///
    /// That it has the directory's name for a title says nothing: a login page may have it, and an error.
    pub fn verdict(&self) -> Result<Option<&'static str>, Error> {
        // Go's has nothing else.
        let bare = self.pre && !self.script && self.text == 0;
        let looks_empty = !self.password && (self.headed || self.up || bare);
        if self.entries || looks_empty {
            return Ok(self.partial());
        }
        let title = || display_name(&self.title).into_owned();
        Err(Error::Listing(if self.password {
            "it is a login page: give the login, or a cookie with --header".into()
        } else if let Some(refresh) = &self.refresh {
            let (path, _) = refresh.split_once('?').unwrap_or((refresh, ""));
            format!("the page leads to {}", display_name(path))
        } else if self.script {
            "it is a page that only a script fills".into()
        } else if !self.title.is_empty() {
            format!(
                "it is a page without links to what is below it, `{}`",
                title()
            )
        } else if self.tags || self.text > 0 {
            "it is a page without links to what is below it".into()
        } else {
            "it is an empty page".into()
        }))
    }
}

/// The URL in `5; url='...'`.
fn target(content: &str) -> Option<String> {
    let (_, rest) = content.split_once([';', ','])?;
    let rest = rest.trim_start();
    let (key, value) = rest.split_once('=')?;
    let value = value.trim().trim_matches(['\'', '"']);
    (key.trim().eq_ignore_ascii_case("url") && !value.is_empty()).then(|| value.to_owned())
}

/// An attribute's value.
pub(super) fn attribute<'a>(tag: &'a StartTag<usize>, name: &[u8]) -> Option<&'a [u8]> {
    tag.attributes.get(name).map(|value| value.as_slice())
}
