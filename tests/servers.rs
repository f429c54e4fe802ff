//! Real servers that are small enough to be installed for the tests: what each hosts comes whole, or each file that it
//! cannot give is named.

#![expect(clippy::format_collect, reason = "configurations are short")]

use std::{fs, path::Path, process::Command};

use crate::{
    common::{
        fetching::settings,
        tools::need,
        trees::{assert_same, content},
    },
    foreign::{Foreign, MIB, assert_done, assert_tree_arrives, fetch, temp, tree_without},
};
use haul::exit::Exit;

/// Apache on `root`, with directives of the test's own.
pub fn apache(root: &Path, directives: &str) -> Option<Foreign> {
    let program = need("apache2")?;
    let modules = Path::new("/usr/lib/apache2/modules");
    Some(Foreign::start(|address, dir| {
        let load: String = [
            "mpm_event",
            "dir",
            "mime",
            "autoindex",
            "authz_core",
            "authn_core",
            "authn_file",
            "auth_digest",
            "auth_basic",
            "authz_user",
            "filter",
            "deflate",
            "alias",
            "env",
        ]
        .iter()
        .map(|name| {
            format!(
                "LoadModule {name}_module {}/mod_{name}.so\n",
                modules.display()
            )
        })
        .collect();
        let text = format!(
            "ServerRoot {dir}\nPidFile {dir}/pid\nErrorLog {dir}/error.log\nListen {address}\nServerName localhost\n{load}\
             DocumentRoot \"{root}\"\nTypesConfig /dev/null\nDefaultRuntimeDir {dir}\n\
             <Directory \"{root}\">\nOptions +Indexes\nIndexOptions {options}\nDirectoryIndex disabled\nRequire all granted\n</Directory>\n{directives}\n",
            dir = dir.display(),
            root = root.display(),
            options = "FancyIndexing NameWidth=* Charset=UTF-8",
        );
        fs::write(dir.join("httpd.conf"), text).unwrap();
        let mut command = Command::new(program);
        command
            .arg("-D")
            .arg("FOREGROUND")
            .arg("-f")
            .arg(dir.join("httpd.conf"));
        command
    }))
}

#[test]
fn apache_with_its_usual_index() {
    // Files that begin with a dot, `README` and `HEADER` are not listed by itself; `IndexIgnore` is not set here.
    let source = tree_without(&[]);
    let Some(server) = apache(source.path(), "") else {
        return;
    };
    assert_tree_arrives(source.path(), &server.url("/"));
    let Some(server) = apache(
        source.path(),
        "IndexOptions HTMLTable FancyIndexing VersionSort",
    ) else {
        return;
    };
    assert_tree_arrives(source.path(), &server.url("/"));
    let Some(server) = apache(source.path(), "IndexOptions -FancyIndexing") else {
        return;
    };
    assert_tree_arrives(source.path(), &server.url("/"));
}

#[test]
fn apache_that_calls_archives_encoded() {
    let source = temp();
    for (n, name) in ["a.tar.gz", "b.tgz", "c.Z", "d.txt"]
        .into_iter()
        .enumerate()
    {
        fs::write(source.path().join(name), content(n as u64, 3 * MIB + n)).unwrap();
    }
    let directives = "AddEncoding x-gzip .gz .tgz\nAddEncoding x-compress .Z\n";
    let Some(server) = apache(source.path(), directives) else {
        return;
    };
    assert_tree_arrives(source.path(), &server.url("/"));
    // One that compresses whatever was asked for.
    let directives = "SetEnv force-gzip 1\nSetOutputFilter DEFLATE\n";
    let Some(server) = apache(source.path(), directives) else {
        return;
    };
    assert_tree_arrives(source.path(), &server.url("/"));
}

#[test]
fn lighttpd() {
    // It lists names with control characters, or that are no UTF-8, and answers 400 to them.
    let source = tree_without(&[b"not utf8 \xff\xfe.bin", b"new\nline", b"esc\x1b[31mape"]);
    let Some(program) = need("lighttpd") else {
        return;
    };
    let server = Foreign::start(|address, dir| {
        let text = format!(
            "server.document-root = \"{}\"\nserver.bind = \"{}\"\nserver.port = {}\nserver.modules = (\"mod_dirlisting\")\n\
             dir-listing.activate = \"enable\"\nindex-file.names = ()\n",
            source.path().display(),
            address.ip(),
            address.port()
        );
        fs::write(dir.join("lighttpd.conf"), text).unwrap();
        let mut command = Command::new(program);
        command.arg("-D").arg("-f").arg(dir.join("lighttpd.conf"));
        command
    });
    assert_tree_arrives(source.path(), &server.url("/"));
}

#[test]
fn webfs() {
    // It answers 400 to a range that ends behind the file; its listing escapes neither `&` nor a backslash.
    let source = tree_without(&[b"<b>&amp;.html", b"back\\slash"]);
    for n in 0..80 {
        fs::write(source.path().join(format!("small {n}")), content(n, 3000)).unwrap();
    }
    let Some(program) = need("webfsd") else {
        return;
    };
    let server = Foreign::start(|address, _| {
        let mut command = Command::new(program);
        command
            .args(["-F", "-i", "127.0.0.1", "-p"])
            .arg(address.port().to_string())
            .arg("-r")
            .arg(source.path());
        command
    });
    assert_tree_arrives(source.path(), &server.url("/"));
}

#[test]
fn mini_httpd() {
    let source = tree_without(&[b"index.html"]);
    let Some(program) = need("mini_httpd") else {
        return;
    };
    let server = Foreign::start(|address, _| {
        let mut command = Command::new(program);
        command
            .args(["-D", "-h", "127.0.0.1", "-p"])
            .arg(address.port().to_string())
            .arg("-d")
            .arg(source.path());
        command
    });
    let target = temp();
    let fetched = fetch(settings(&server.url("/"), target.path()));
    // It escapes names in its listing, and forgets that in the redirect that adds a directory's slash.
    let failed: Vec<_> = fetched
        .failed
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(failed, ["a/b c/d%20"]);
    assert_eq!(fetched.exit, Some(Exit::Remote));
    fs::remove_dir_all(source.path().join("a/b c/d%20")).unwrap();
    let _ = fs::remove_dir_all(target.path().join("a/b c/d%20"));
    assert_same(source.path(), target.path());
}

#[test]
fn busybox_httpd_lists_nothing_and_says_so() {
    let source = temp();
    fs::write(source.path().join("f"), content(1, 3 * MIB)).unwrap();
    let Some(program) = need("busybox") else {
        return;
    };
    let server = Foreign::start(|address, _| {
        let mut command = Command::new(program);
        command
            .args(["httpd", "-f", "-p"])
            .arg(address.to_string())
            .arg("-h")
            .arg(source.path());
        command
    });
    let target = temp();
    let fetched = fetch(settings(&server.url("/"), target.path()));
    assert_eq!(fetched.exit, Some(Exit::Remote), "{:?}", fetched.failed);
    let mut fetching =
        crate::common::fetching::fetch_with(settings(&server.url("/"), target.path()));
    fetching.get_path("/f");
    assert_done(&fetching.finish());
    assert_same(source.path(), target.path());
}
