//! Where links of a page lead. Those that are passed over are what every listing has, or may be entries in other writing.

use std::borrow::Cow;

use url::Url;

use crate::http1::path;

/// The names of a URL's path. A `%` that begins no escape is one, as browsers have it.
pub fn names(url: &Url) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let segments = url.path().split('/').filter(|segment| !segment.is_empty());
    segments.map(|segment| path::decode_leniently(segment.as_bytes()))
}

/// The directory that a page lists.
pub fn directory(page: &Url) -> Option<Url> {
    let dir = page.path().rfind('/').map_or("/", |at| &page.path()[..=at]);
    page.join(dir).ok()
}

/// Whether a link that is no entry may be one all the same: to the name that a proxy knows the server by, or for a script to
/// answer. Links to directories above, to the page in another order and to a host as a whole are in listings of nothing, too.
pub fn may_name_an_entry(page: &Url, base: &Url, href: &str) -> bool {
    let Ok(there) = base.join(href.trim()) else {
        return true;
    };
    if there.cannot_be_a_base() {
        // `mailto:`, `javascript:`
        return false;
    }
    let Some(dir) = directory(page) else {
        return true;
    };
    let mut way = names(&dir);
    let is_on_the_way = names(&there).all(|name| way.next().as_ref() == Some(&name));
    !is_on_the_way || !only_sorts(&there)
}

/// Whether a link leads to the page that it is in.
pub fn is_itself(page: &Url, base: &Url, href: &str) -> bool {
    base.join(href.trim()).is_ok_and(|there| {
        there.origin() == page.origin() && names(&there).eq(names(page)) && only_sorts(&there)
    })
}

/// Whether a query, if there is one, only shows a listing in another way: Apache's, Jetty's and fancyindex's `C=N;O=D`,
/// caddy's and rclone's `sort=name&order=asc`.
fn only_sorts(url: &Url) -> bool {
    let mut pairs = url.query().unwrap_or_default().split(['&', ';']);
    pairs.all(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_letter =
            key.len() == 1 && key.as_bytes()[0].is_ascii_uppercase() && value.len() <= 1;
        is_letter
            || key.is_empty() && value.is_empty()
            || ["sort", "order", "layout"]
                .iter()
                .any(|way| key.starts_with(way))
    })
}
