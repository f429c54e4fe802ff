//! The listings of object stores: S3's `ListBucketResult` (Google's and others' as well), Azure's `EnumerationResults`.
//!
//! Both list keys, not directories: a whole tree at once, a page at a time.

use std::time::SystemTime;

use roxmltree::{Document, Node};
use url::{Url, form_urlencoded};

use super::Error;
use crate::entry::Entry;

/// Most bytes of one page: 5,000 blobs with long names and their metadata stay below.
const PAGE_MAX: usize = 32 << 20;

/// A page of a listing that is being read.
#[derive(Debug)]
pub struct Bucket {
    /// The query that it was asked for with.
    query: Vec<(String, String)>,
    text: Vec<u8>,
}

impl Bucket {
    /// The page at this address.
    pub fn new(address: &Url) -> Self {
        Self {
            query: address.query_pairs().into_owned().collect(),
            text: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.text.extend_from_slice(bytes);
        if self.text.len() > PAGE_MAX {
            return Err(Error::Listing("a page of it has more than 32 MiB".into()));
        }
        Ok(())
    }

    /// The page has ended: calls `found` with each file. The query for the next page, if there is one.
    pub fn finish(self, found: &mut dyn FnMut(Entry)) -> Result<Option<String>, Error> {
        let text = String::from_utf8_lossy(&self.text);
        // Azure begins with a byte order mark.
        let document = Document::parse(text.trim_start_matches('\u{feff}'))
            .map_err(|error| Error::Listing(format!("malformed XML: {error}")))?;
        let root = document.root_element();
        let (files, last) = match root.tag_name().name() {
            "ListBucketResult" => {
                refuse_prefixes(root, "CommonPrefixes")?;
                s3(root, found)?
            }
            "EnumerationResults" => {
                // One of containers, for example, has none of them.
                let blobs = child(root, "Blobs")
                    .ok_or_else(|| Error::Listing("it is a list of something else".into()))?;
                refuse_prefixes(blobs, "BlobPrefix")?;
                azure(blobs, found)?
            }
            other => {
                return Err(Error::Listing(format!(
                    "it is XML of another kind, `{}`",
                    crate::escape::display_name(other)
                )));
            }
        };
        let next = self.next(root, last)?;
        match next {
            // Without progress it would be asked for again and again.
            Some(_) if files == 0 => Err(Error::Listing(
                "a page without entries has another behind it".into(),
            )),
            next => Ok(next),
        }
    }

    /// What asks for the next page (`NextContinuationToken` of S3's version 2, else `marker`).
    fn next(&self, root: Node<'_, '_>, last: Option<&str>) -> Result<Option<String>, Error> {
        let token = value(root, "NextContinuationToken").filter(|token| !token.is_empty());
        let marker = value(root, "NextMarker").filter(|marker| !marker.is_empty());
        let cut = value(root, "IsTruncated").map(str::trim);
        let cut = cut.is_some_and(|cut| cut.eq_ignore_ascii_case("true") || cut == "1");
        let (key, value) = match (token, marker, last) {
            (Some(token), ..) => ("continuation-token", token),
            (None, Some(marker), _) => ("marker", marker),
            (None, None, Some(last)) if cut => ("marker", last),
            (None, None, None) if cut => {
                let text = "more follows a page that does not tell how to ask for it";
                return Err(Error::Listing(text.into()));
            }
            (None, None, _) => return Ok(None),
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        let kept = self.query.iter().filter(|(name, _)| name != key);
        query.extend_pairs(kept).append_pair(key, value);
        if key == "continuation-token" && !self.query.iter().any(|(name, _)| name == "list-type") {
            query.append_pair("list-type", "2");
        }
        Ok(Some(query.finish()))
    }
}

/// A listing that was cut into directories by a `delimiter` cannot be followed into them.
fn refuse_prefixes(node: Node<'_, '_>, name: &str) -> Result<(), Error> {
    if child(node, name).is_some() {
        let text = "it stops at directories: leave `delimiter` out of the address";
        return Err(Error::Listing(text.into()));
    }
    Ok(())
}

/// How many entries a page has, and the last one's key.
type Entries<'a> = (usize, Option<&'a str>);

/// The objects of an S3 page.
fn s3<'a>(root: Node<'a, '_>, found: &mut dyn FnMut(Entry)) -> Result<Entries<'a>, Error> {
    let (mut count, mut last) = (0, None);
    for object in children(root, "Contents") {
        let key = value(object, "Key").ok_or_else(nameless)?;
        (count, last) = (count + 1, Some(key));
        let modified =
            value(object, "LastModified").and_then(|text| text.parse::<jiff::Timestamp>().ok());
        note(
            key,
            value(object, "Size"),
            modified.map(SystemTime::from),
            found,
        );
    }
    Ok((count, last))
}

/// The blobs of an Azure page.
fn azure<'a>(blobs: Node<'a, '_>, found: &mut dyn FnMut(Entry)) -> Result<Entries<'a>, Error> {
    let (mut count, mut last) = (0, None);
    for blob in children(blobs, "Blob") {
        let name = value(blob, "Name").ok_or_else(nameless)?;
        (count, last) = (count + 1, Some(name));
        let about = child(blob, "Properties").unwrap_or(blob);
        let modified =
            value(about, "Last-Modified").and_then(|date| httpdate::parse_http_date(date).ok());
        note(name, value(about, "Content-Length"), modified, found);
    }
    Ok((count, last))
}

/// A file that is there, and cannot be asked for: what is without it is not the whole.
fn nameless() -> Error {
    Error::Listing("an entry of it has no name".into())
}

/// A key that ends in a slash stands for a directory, which holds nothing itself.
fn note(key: &str, size: Option<&str>, modified: Option<SystemTime>, found: &mut dyn FnMut(Entry)) {
    if key.ends_with('/') {
        return;
    }
    found(Entry {
        name: key.as_bytes().to_vec(),
        is_dir: false,
        size: size.and_then(|size| size.trim().parse().ok()),
        modified,
        blake3: None,
    });
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |child| child.tag_name().name() == name)
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

fn value<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and sizes, and what asks for the next page.
    type Page = (Vec<(String, Option<u64>)>, Option<String>);

    fn read(address: &str, text: &str) -> Result<Page, Error> {
        let (mut bucket, mut found) = (Bucket::new(&Url::parse(address).unwrap()), Vec::new());
        bucket.feed(text.as_bytes())?;
        let next = bucket.finish(&mut |entry| {
            found.push((String::from_utf8(entry.name).unwrap(), entry.size));
        })?;
        Ok((found, next))
    }

    #[test]
    fn s3() {
        let page = r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Name>b</Name><Prefix></Prefix><Marker></Marker><MaxKeys>1000</MaxKeys><IsTruncated>CUT</IsTruncated>
            <Contents><Key>a/</Key><Size>0</Size></Contents>
            <Contents><Key>a/b &amp; c.txt</Key><LastModified>2026-11-22T11:28:11.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>434234</Size></Contents>
            </ListBucketResult>"#;
        let (files, next) = read("http://h/b/", &page.replace("CUT", "false")).unwrap();
        assert_eq!(files, [("a/b & c.txt".into(), Some(434_234))]);
        assert_eq!(next, None);
        let (_, next) = read(
            "http://h/b/?prefix=a%2F&marker=0",
            &page.replace("CUT", "true"),
        )
        .unwrap();
        assert_eq!(next.as_deref(), Some("prefix=a%2F&marker=a%2Fb+%26+c.txt"));
        let second = page.replace(
            "<IsTruncated>CUT",
            "<NextContinuationToken>t=</NextContinuationToken><IsTruncated>true",
        );
        let (_, next) = read("http://h/b/?list-type=2", &second).unwrap();
        assert_eq!(next.as_deref(), Some("list-type=2&continuation-token=t%3D"));
        let cut = page.replace(
            "</ListBucketResult>",
            "<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListBucketResult>",
        );
        assert!(read("http://h/b/", &cut).is_err());
    }

    #[test]
    fn a_page_that_is_not_all_and_tells_no_next_one_is_refused() {
        let refused = |text: &str| {
            let read = read("http://h/b/", text);
            assert!(matches!(read, Err(Error::Listing(_))), "{text}: {read:?}");
        };
        for cut in ["true", " True\n", "1"] {
            let page = format!("<ListBucketResult><IsTruncated>{cut}</IsTruncated>");
            refused(&format!("{page}</ListBucketResult>"));
            refused(&format!("{page}<NextMarker/></ListBucketResult>"));
            refused(&format!("{page}<Contents/></ListBucketResult>"));
            let page = format!("{page}<Contents><Key>d/</Key></Contents></ListBucketResult>");
            let (files, next) = read("http://h/b/", &page).unwrap();
            assert_eq!((files.len(), next.as_deref()), (0, Some("marker=d%2F")));
        }
        for nameless in [
            "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
            "<EnumerationResults><Blobs><Blob><Name/></Blob></Blobs></EnumerationResults>",
            "<EnumerationResults><Containers></Containers><NextMarker/></EnumerationResults>",
            "<EnumerationResults><Blobs/><NextMarker>m</NextMarker></EnumerationResults>",
        ] {
            refused(nameless);
        }
        for empty in [
            "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
            "<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>",
        ] {
            assert_eq!(read("http://h/b/", empty).unwrap(), (Vec::new(), None));
        }
    }

    #[test]
    fn azure() {
        let page = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://a/\" ContainerName=\"c\">\
            <Blobs><Blob><Name>d/x.bin</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified>\
            <Content-Length>12</Content-Length></Properties></Blob></Blobs><NextMarker>m</NextMarker></EnumerationResults>";
        let (files, next) = read("http://h/c/?restype=container&comp=list", page).unwrap();
        assert_eq!(files, [("d/x.bin".into(), Some(12))]);
        assert_eq!(
            next.as_deref(),
            Some("restype=container&comp=list&marker=m")
        );
        assert!(read("http://h/", "<Error><Code>AccessDenied</Code></Error>").is_err());
        assert!(read("http://h/", "no XML").is_err());
    }
}
