//! Forms in JSON of what has no good one by itself: moments, and names that need not be UTF-8.

/// Names and other bytes: a string where they are UTF-8, else a list of numbers.
pub mod bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Read {
        Text(String),
        Raw(Vec<u8>),
    }

    /// Writes them.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => to.serialize_str(text),
            Err(_) => bytes.serialize(to),
        }
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Read::deserialize(from)? {
            Read::Text(text) => text.into_bytes(),
            Read::Raw(bytes) => bytes,
        })
    }
}

/// Local paths, as [`bytes`].
pub mod path {
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt as _, OsStringExt as _},
        path::{Path, PathBuf},
    };

    use serde::{Deserializer, Serializer};

    /// Writes one.
    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        super::bytes::serialize(path.as_os_str().as_bytes(), to)
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        super::bytes::deserialize(from).map(|bytes| OsString::from_vec(bytes).into())
    }
}

/// Local paths that may be missing.
pub mod some_path {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Written<'a>(#[serde(with = "super::path")] &'a Path);

    #[derive(Deserialize)]
    struct Read(#[serde(with = "super::path")] PathBuf);

    /// Writes one.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Written).serialize(to)
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        let path = Option::<Read>::deserialize(from)?;
        Ok(path.map(|Read(path)| path))
    }
}

/// Moments: how many milliseconds ago they were when they were written; what is yet to come is negative.
pub mod age {
    use std::time::{Duration, Instant};

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes one.
    pub fn serialize<S: Serializer>(at: &Instant, to: S) -> Result<S::Ok, S::Error> {
        let now = Instant::now();
        let ago = now.saturating_duration_since(*at).as_millis() as i64;
        let ahead = at.saturating_duration_since(now).as_millis() as i64;
        to.serialize_i64(ago - ahead)
    }

    /// Reads one. What is further away than the clock reaches becomes now.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Instant, D::Error> {
        let ago = i64::deserialize(from)?;
        let (now, far) = (Instant::now(), Duration::from_millis(ago.unsigned_abs()));
        let at = if ago < 0 {
            now.checked_add(far)
        } else {
            now.checked_sub(far)
        };
        Ok(at.unwrap_or(now))
    }
}

/// Moments that may not have come.
pub mod some_age {
    use std::time::Instant;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct At(#[serde(with = "super::age")] Instant);

    /// Writes one.
    pub fn serialize<S: Serializer>(at: &Option<Instant>, to: S) -> Result<S::Ok, S::Error> {
        at.map(At).serialize(to)
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Instant>, D::Error> {
        Ok(Option::<At>::deserialize(from)?.map(|At(at)| at))
    }
}

/// What was said, and when, which may not have come.
pub mod some_words {
    use std::time::Instant;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Written<'a>(&'a str, #[serde(with = "super::age")] Instant);

    #[derive(Deserialize)]
    struct Read(String, #[serde(with = "super::age")] Instant);

    /// Writes them.
    pub fn serialize<S: Serializer>(
        said: &Option<(String, Instant)>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let said = said.as_ref().map(|(text, at)| Written(text, *at));
        said.serialize(to)
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<(String, Instant)>, D::Error> {
        let said = Option::<Read>::deserialize(from)?;
        Ok(said.map(|Read(text, at)| (text, at)))
    }
}

/// What is written as people write it, by its `Display` and `FromStr`.
pub mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes it.
    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    /// Reads it.
    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::ffi::OsStringExt as _,
        path::PathBuf,
        time::{Duration, Instant},
    };

    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct All {
        #[serde(with = "super::path")]
        path: PathBuf,
        #[serde(with = "super::some_path")]
        none: Option<PathBuf>,
        #[serde(with = "super::age")]
        at: Instant,
        #[serde(with = "super::some_words")]
        said: Option<(String, Instant)>,
    }

    #[test]
    fn what_is_written_is_read_back() {
        let ahead = Instant::now() + Duration::from_mins(1);
        let all = All {
            path: std::ffi::OsString::from_vec(b"/a/\xff".to_vec()).into(),
            none: None,
            at: ahead,
            said: Some(("404".into(), ahead)),
        };
        let text = serde_json::to_string(&all).unwrap();
        assert!(text.contains("\"at\":-"), "it lies ahead: {text}");
        let read: All = serde_json::from_str(&text).unwrap();
        assert_eq!((&read.path, &read.none), (&all.path, &all.none));
        let (said, at) = read.said.unwrap();
        assert_eq!(said, "404");
        for moment in [read.at, at] {
            let off =
                moment.saturating_duration_since(ahead) + ahead.saturating_duration_since(moment);
            assert!(off < Duration::from_secs(10), "{off:?}");
        }
    }
}
