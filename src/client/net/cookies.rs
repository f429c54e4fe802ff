//! Cookies that a redirect sets and asks for again: kept for one origin and one run, and sent to no other.

/// Cookies that are kept; another one takes the oldest one's place.
const MAX: usize = 50;
/// Bytes of one cookie's name and value (RFC 6265 §6.1).
const BYTES_MAX: usize = 4096;

/// The cookies of one origin.
#[derive(Debug, Default)]
pub struct Cookies(Vec<(String, String)>);

impl Cookies {
    /// Takes a `Set-Cookie` (RFC 6265 §5.2). Path and domain are left aside: the origin is what counts here. `secure` says
    /// that it came over TLS.
    pub fn set(&mut self, field: &str, secure: bool) {
        let mut parts = field.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        let bad = |text: &str| text.chars().any(char::is_control);
        if name.is_empty() || bad(name) || bad(value) || name.len() + value.len() > BYTES_MAX {
            return;
        }
        let (mut ended, mut only_tls) = (false, false);
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.trim().to_ascii_lowercase().as_str() {
                "max-age" => {
                    ended = value
                        .trim()
                        .parse::<i64>()
                        .is_ok_and(|seconds| seconds <= 0);
                }
                "secure" => only_tls = true,
                _ => {}
            }
        }
        self.0.retain(|(known, _)| known != name);
        if !ended && (secure || !only_tls) {
            if self.0.len() == MAX {
                self.0.remove(0);
            }
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The value of `Cookie`; `None` for none.
    pub fn field(&self) -> Option<String> {
        let each: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!each.is_empty()).then(|| each.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_set_replaced_and_removed() {
        let mut cookies = Cookies::default();
        cookies.set("a=1; Path=/x; HttpOnly", false);
        cookies.set("b=\"2=3\"", false);
        cookies.set("c=4; Secure", false);
        cookies.set("=5", false);
        cookies.set("d", false);
        assert_eq!(cookies.field().as_deref(), Some("a=1; b=\"2=3\""));
        cookies.set("a=6", false);
        cookies.set("b=; Max-Age=0", false);
        assert_eq!(cookies.field().as_deref(), Some("a=6"));
        cookies.set("a=; max-age=-1", false);
        assert_eq!(cookies.field(), None);
        (0..60).for_each(|n| cookies.set(&format!("n{n}=1; Secure"), true));
        assert_eq!(cookies.field().unwrap().split("; ").count(), MAX);
    }
}
