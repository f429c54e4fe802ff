use super::*;

#[test]
fn exit_statuses_follow_the_table() {
    let status = |status| Error::Status {
        status,
        retry_after: None,
        said: None,
    };
    assert_eq!(status(404).exit(), Exit::Remote);
    assert_eq!(
        Error::Login {
            at: "s:80".into(),
            sent: true,
            said: None
        }
        .exit(),
        Exit::Access
    );
    assert_eq!(Error::Banned(String::new()).exit(), Exit::Remote);
    assert_eq!(status(503).exit(), Exit::Network);
    assert_eq!(Error::Timeout(Duration::from_secs(1)).exit(), Exit::Network);
    assert_eq!(Error::Integrity { piece: Some(3) }.exit(), Exit::Integrity);
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert_eq!(Error::disk("x", &full).exit(), Exit::Disk);
}

#[test]
fn only_what_may_pass_is_tried_again() {
    for (status, transient) in [
        (404, false),
        (408, true),
        (429, true),
        (500, true),
        (501, false),
        (503, true),
        (403, false),
    ] {
        assert_eq!(
            Error::Status {
                status,
                retry_after: None,
                said: None
            }
            .is_transient(),
            transient,
            "{status}"
        );
    }
    assert!(!Error::disk("x", &io::Error::from(io::ErrorKind::StorageFull)).is_transient());
    assert!(Error::Integrity { piece: None }.is_transient());
    let kicked = Error::Status {
        status: 403,
        retry_after: Some(Duration::from_secs(60)),
        said: Some("come back".into()),
    };
    assert!(kicked.is_transient(), "it names its own end");
    assert_eq!(kicked.to_string(), "the server forbids it (403): come back");
    assert!(Error::Kicked(String::new()).is_transient());
    assert!(!Error::Banned("x".into()).is_transient());
}
