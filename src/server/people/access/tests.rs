use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;
use argon2::password_hash::PasswordHasher as _;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn login(text: &str) -> Credentials {
    Credentials::parse_login(text).unwrap()
}

fn basic(text: &str) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(text)).into_bytes()
}

async fn who(
    access: &Access,
    field: impl AsRef<[u8]>,
    address: IpAddr,
) -> Result<String, Unproved> {
    let checked = access
        .check(Some(field.as_ref()), address, &Work::default())
        .await;
    checked.map(|login| login.unwrap().to_string())
}

/// An access with a user of each kind and two tokens.
fn access() -> Access {
    let dir = tempfile::tempdir().unwrap();
    let (users, tokens) = (dir.path().join("users"), dir.path().join("tokens"));
    let line = hashed_line("bob", &Secret::new("b:ob")).unwrap();
    fs::write(&users, format!("# people\n\n{line}\n")).unwrap();
    fs::write(&tokens, "abc\n# next\n def \n").unwrap();
    let logins = [login("ada:lovelace"), login("eve:x")];
    Access::new(&Sources {
        logins: &logins,
        auth_file: Some(&users),
        token_file: Some(&tokens),
    })
    .unwrap()
}

#[tokio::test]
async fn every_kind_of_login_is_known_by_its_name() {
    let access = access();
    assert_eq!(
        who(&access, basic("ada:lovelace"), HERE).await.unwrap(),
        "ada"
    );
    assert_eq!(who(&access, basic("bob:b:ob"), HERE).await.unwrap(), "bob");
    assert_eq!(who(&access, "Bearer abc", HERE).await.unwrap(), "token 1");
    assert_eq!(who(&access, "bearer  def", HERE).await.unwrap(), "token 3");
    assert_eq!(who(&access, basic("eve:x"), HERE).await.unwrap(), "eve");
    let missing = access.check(None, HERE, &Work::default()).await;
    assert_eq!(missing, Err(Unproved::Missing { tokens: true }));
    let open = Access::new(&Sources::default()).unwrap();
    assert!(open.is_open() && open.check(None, HERE, &Work::default()).await == Ok(None));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_denied_and_slowed_down() {
    let access = access();
    let wrong = [
        basic("ada:Lovelace"),
        basic("bob:bob"),
        basic("nobody:x"),
        basic(":abc"),
        basic("ada"),
        b"Basic !!!".to_vec(),
        b"Bearer ab".to_vec(),
        b"Digest x".to_vec(),
    ];
    let start = Instant::now();
    for field in &wrong {
        let denied = who(&access, field, HERE).await;
        assert_eq!(denied, Err(Unproved::Wrong { tokens: true }));
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    // The allowance is used up: even what is right waits for its turn.
    assert!(who(&access, basic("ada:lovelace"), HERE).await.is_ok());
    assert!(
        start.elapsed() > Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    // What was right from here before, and another address, do not wait.
    let start = Instant::now();
    assert!(who(&access, basic("ada:lovelace"), HERE).await.is_ok());
    let there: IpAddr = "192.0.2.1".parse().unwrap();
    assert!(who(&access, basic("ada:lovelace"), there).await.is_ok());
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn many_guesses_at_once_are_as_slow_as_one_after_the_other() {
    let access = access();
    let mut guesses = tokio::task::JoinSet::new();
    for n in 0..50 {
        let access = access.clone();
        guesses.spawn(async move { who(&access, basic(&format!("ada:{n}")), HERE).await });
    }
    let mut denied: Vec<Unproved> = Vec::new();
    while let Some(guess) = guesses.join_next().await {
        denied.push(guess.unwrap().unwrap_err());
    }
    let checked = denied
        .iter()
        .filter(|d| matches!(d, Unproved::Wrong { .. }));
    assert_eq!(checked.count(), 10, "8 at once, 2 that waited");
    let guess = who(&access, basic("ada:lovelace"), HERE).await;
    assert!(
        guess.is_ok(),
        "after those that waited its turn comes: {guess:?}"
    );
}

#[tokio::test]
async fn a_verified_login_is_not_checked_again() {
    let access = access();
    let _ = who(&access, basic("bob:b:ob"), HERE).await;
    // With every turn taken, another would wait.
    let work = Work::default();
    let other = Who::Login("other".into());
    let enter = || work.enter(work::Kind::Login, None, &other).unwrap();
    let places = [enter(), enter()];
    let _turns = (
        places[0].turn().await.unwrap(),
        places[1].turn().await.unwrap(),
    );
    let check = async |login: &str| access.check(Some(&basic(login)), HERE, &work).await;
    for _ in 0..1000 {
        assert!(check("bob:b:ob").await.is_ok());
    }
    let waits = tokio::time::timeout(Duration::from_millis(50), check("bob:x"));
    assert!(waits.await.is_err(), "another password has to wait");
    // Those who wait are bounded, for each address too: who is beyond them is told when to come back.
    let ours = Who::of(None, HERE);
    let _crowd: Vec<_> =
        std::iter::from_fn(|| work.enter(work::Kind::Login, None, &ours).ok()).collect();
    let crowded = check("bob:y").await.unwrap_err();
    assert!(matches!(crowded, Unproved::Crowded), "{crowded:?}");
}

#[test]
fn files_that_make_no_sense_are_told_by_line_and_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let good = hashed_line("bob", &Secret::new("x")).unwrap();
    for (content, says) in [
        (
            "bob:hunter2\n".to_owned(),
            ":1: what follows the `:` is no argon2id hash",
        ),
        (
            format!("{good}\n{good}\n"),
            ":2: this user has a line already",
        ),
        ("\n\nhunter2".into(), ":3: no `:`"),
        (good.replace("argon2id", "argon2i"), ":1: no argon2id hash"),
        (
            good.replacen("bob", "", 1),
            ":1: no argon2id hash with a user's name",
        ),
        ("# nothing\n".into(), "holds no login"),
    ] {
        fs::write(&path, &content).unwrap();
        let sources = Sources {
            auth_file: Some(&path),
            ..Sources::default()
        };
        let error = Access::new(&sources).unwrap_err().to_string();
        assert!(error.contains(says), "{content:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for (content, says) in [("", "holds no token"), ("a\nhunter2 x\n", ":2: a token is")] {
        fs::write(&path, content).unwrap();
        let sources = Sources {
            token_file: Some(&path),
            ..Sources::default()
        };
        let error = Access::new(&sources).unwrap_err().to_string();
        assert!(
            error.contains(says) && !error.contains("hunter2"),
            "{error}"
        );
    }
    // A login beside it makes no token.
    fs::write(&path, "# none yet\n").unwrap();
    let beside = Sources {
        logins: &[login("ada:lovelace")],
        token_file: Some(&path),
        ..Sources::default()
    };
    let error = Access::new(&beside).unwrap_err().to_string();
    assert!(error.contains("holds no token"), "{error}");
    for name in ["#bob", " al", "\u{a0}al"] {
        let error = hashed_line(name, &Secret::new("hunter2")).unwrap_err();
        assert!(error.contains("begins with"), "{error}");
    }
    let missing = Sources {
        auth_file: Some(&dir.path().join("none")),
        ..Sources::default()
    };
    assert!(
        Access::new(&missing)
            .unwrap_err()
            .to_string()
            .contains("no such file")
    );
}

#[test]
fn what_is_kept_shows_nothing() {
    let shown = format!("{:?}", access());
    assert!(
        !shown.contains("lovelace") && !shown.contains("abc"),
        "{shown}"
    );
}

#[test]
fn nobodys_names_cost_what_somebodys_do() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    let line = |user: &str, memory: u32| {
        let params = argon2::Params::new(memory, 1, 1, None).unwrap();
        let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let hash = argon.hash_password(b"x").unwrap();
        format!("{user}:{hash}\n")
    };
    fs::write(&users, line("cheap", 16) + &line("dear", 64)).unwrap();
    let access = Access::new(&Sources {
        auth_file: Some(&users),
        ..Sources::default()
    })
    .unwrap();
    let guard = access.0.unwrap();
    let decoy = |name: &str| guard.decoy(name).unwrap().to_string();
    let costs: Vec<bool> = (0..200)
        .map(|n| decoy(&format!("nobody-{n}")).contains("m=64"))
        .collect();
    let dear = costs.iter().filter(|dear| **dear).count();
    assert!((50..150).contains(&dear), "{dear}");
    assert_eq!(decoy("nobody-1"), decoy("nobody-1"));
}
