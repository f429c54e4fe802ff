//! `haul servers`: who says on the network that he serves, and who was used before; who of them can be reached.

use std::io::Write;

use super::report::unwritable;
use crate::{
    dashboard::places,
    discovery::{Known, survey},
    error::Error,
    escape::display_name,
    exit::Exit,
    logging::json_escaped,
};

/// Tells `out` the servers, a line each. The status is [`Exit::Done`] where there are any, else [`Exit::Remote`].
pub async fn run(json: bool, out: &mut impl Write) -> Result<Exit, Error> {
    let used = places::file().as_deref().map(places::load);
    let used = used.unwrap_or_default().into_iter().rev();
    let (known, deaf) = survey(used.map(|place| place.server).collect(), None).await;
    if let Some(error) = deaf {
        let line = crate::logging::one_line(&format!("haul: nothing can be heard: {error}"));
        // Without stderr, what was used before is told all the same.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    let mut text = String::new();
    for server in &known {
        if json {
            let line = serde_json::to_string(server).map_err(|error| unwritable(error.into()))?;
            text.push_str(&json_escaped(&line));
        } else {
            text.push_str(&line(server));
        }
        text.push('\n');
    }
    if known.is_empty() && !json {
        text.push_str("no server says that it is there, and none was used before\n");
    }
    out.write_all(text.as_bytes()).map_err(unwritable)?;
    Ok(if known.is_empty() {
        Exit::Remote
    } else {
        Exit::Done
    })
}

/// `http://10.0.0.7:8888/  pub on nas  0.3 ms`, for people.
fn line(server: &Known) -> String {
    let mut parts = vec![display_name(&server.url).into_owned()];
    parts.extend(
        server
            .name
            .as_deref()
            .map(|name| display_name(name).into_owned()),
    );
    parts.push(match server.connect_ms {
        Some(took) => format!("{took} ms"),
        None => "cannot be reached".to_owned(),
    });
    if server.used {
        parts.push("used before".to_owned());
    }
    if let Some(fingerprint) = &server.fingerprint {
        parts.push(format!("claims SHA256:{}", display_name(fingerprint)));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_who_and_what_it_took() {
        let mut known = Known {
            url: "http://10.0.0.7:8888/".to_owned(),
            name: Some("a\x1b".to_owned()),
            heard: true,
            used: true,
            reachable: true,
            connect_ms: Some(0.3),
            fingerprint: None,
        };
        let told = line(&known);
        assert!(told.starts_with("http://10.0.0.7:8888/  a"), "{told}");
        assert!(told.ends_with("  0.3 ms  used before"), "{told}");
        assert!(!told.contains('\x1b'), "{told}");
        (known.connect_ms, known.used) = (None, false);
        known.fingerprint = Some("AB".to_owned());
        assert!(line(&known).ends_with("  cannot be reached  claims SHA256:AB"));
    }
}
