//! Nothing lands outside the target directory, whatever stands in the way or takes its place meanwhile.
//!
//! Each case runs twice: with the kernel's own containment (`openat2`), and in a sandbox that denies it.

use std::{fs, os::unix::fs::symlink, sync::atomic::Ordering::Relaxed, time::Instant};

use haul::exit::Exit;
use rustix::fs::{CWD, FileType, mknodat};

use crate::common::{
    program::Haul,
    secure::Daemon,
    serving::PATIENCE,
    swap::{both, while_swapping},
    trees::{content, digest, quick_temp},
};

/// The place that downloads land in becomes a link outwards, again and again.
#[test]
fn nothing_lands_outside_while_its_directory_becomes_a_link() {
    let source = quick_temp();
    let deep = source.path().join("dir/deep");
    fs::create_dir_all(&deep).unwrap();
    for n in 0..60 {
        fs::write(source.path().join(format!("dir/{n}")), content(n, 100)).unwrap();
        fs::write(deep.join(format!("{n}")), content(n, 200)).unwrap();
    }
    for n in 0..4 {
        fs::write(
            source.path().join(format!("dir/large-{n}")),
            content(n, 3_000_000),
        )
        .unwrap();
    }
    let daemon = Daemon::start(source.path(), &[]);
    for within in both() {
        let temp = quick_temp();
        let (target, outside) = (temp.path().join("target"), temp.path().join("outside"));
        fs::create_dir_all(target.join("dir/deep")).unwrap();
        fs::create_dir_all(outside.join("deep")).unwrap();
        fs::write(outside.join("large-0"), "somebody else's").unwrap();
        let before = digest(&outside);
        symlink(&outside, target.join("other")).unwrap();
        let (mut arrived, mut refused) = (0, 0);
        let swaps = while_swapping(&target.join("dir"), &target.join("other"), |swaps| {
            let (start, mut runs) = (Instant::now(), 0);
            while runs < 8 || arrived == 0 || refused == 0 || swaps.load(Relaxed) < 1000 {
                assert!(start.elapsed() < PATIENCE * 3, "{arrived} {refused}");
                runs += 1;
                let dir = target.to_str().unwrap();
                let line = [
                    "connect",
                    &daemon.url,
                    "--headless",
                    "--json",
                    "--all",
                    "-r",
                    "1",
                    "-d",
                    dir,
                ];
                let haul =
                    Haul::within(within, &[&line[..], &["--on-conflict", "rename"]].concat());
                let (_, told, _) = haul.run();
                arrived += told.matches("\"event\":\"finished\"").count();
                refused += told.matches("\"event\":\"failed\"").count();
                assert_eq!(digest(&outside), before, "after {runs} runs");
            }
        });
        assert!(swaps >= 1000);
    }
}

/// Where files should land stands everything but a file, and links that lead out.
#[test]
fn what_stands_in_the_way_of_a_download_neither_blocks_nor_leads_out() {
    let source = quick_temp();
    let large = [
        "plain",
        "fifo",
        "dangling",
        "link",
        "part-fifo",
        "part-link",
    ];
    for (seed, name) in large.iter().enumerate() {
        fs::write(source.path().join(name), content(seed as u64, 1_500_000)).unwrap();
        let small = format!("small-{name}");
        fs::write(source.path().join(small), content(seed as u64, 100)).unwrap();
    }
    for dir in ["dir-fifo", "dir-link", "dir-dangling"] {
        fs::create_dir(source.path().join(dir)).unwrap();
        fs::write(source.path().join(dir).join("file"), "file").unwrap();
    }
    let daemon = Daemon::start(source.path(), &[]);
    for within in both() {
        for rule in ["verify", "rename", "skip", "overwrite"] {
            let temp = quick_temp();
            let (target, outside) = (temp.path().join("target"), temp.path().join("outside"));
            fs::create_dir_all(&target).unwrap();
            fs::create_dir_all(outside.join("dir")).unwrap();
            fs::write(outside.join("victim"), "somebody else's").unwrap();
            let fifo = |name: &str| {
                mknodat(CWD, target.join(name), FileType::Fifo, 0o644.into(), 0).unwrap();
            };
            let outward = |to: &str, name: &str| {
                symlink(format!("../outside/{to}"), target.join(name)).unwrap();
            };
            fifo("dir-fifo");
            outward("dir", "dir-link");
            outward("new-dir", "dir-dangling");
            for before in ["", "small-"] {
                fifo(&format!("{before}fifo"));
                outward("new", &format!("{before}dangling"));
                outward("victim", &format!("{before}link"));
                fifo(&format!("{before}part-fifo.part"));
                outward("victim", &format!("{before}part-link.part"));
            }
            let kinds = || -> Vec<_> {
                let entries = fs::read_dir(&target).unwrap().map(Result::unwrap);
                let odd = entries.filter(|entry| !entry.file_type().unwrap().is_file());
                let mut odd: Vec<_> = odd.map(|entry| entry.file_name()).collect();
                odd.sort();
                odd
            };
            let (before, odd) = (digest(&outside), kinds());
            let dir = target.to_str().unwrap();
            let line = [
                "connect",
                &daemon.url,
                "--headless",
                "--json",
                "--all",
                "-r",
                "0",
                "-d",
                dir,
            ];
            let outer = [&["timeout", "60"], within].concat();
            let haul = Haul::within(&outer, &[&line[..], &["--on-conflict", rule]].concat());
            let (status, told, said) = haul.run();
            // The directories in the way are failures, and told; the rest arrives.
            assert_eq!(status, Exit::Disk as i32, "{rule}: {told}{said}");
            assert!(told.contains("\"failed\":3"), "{rule}: {told}");
            assert_eq!(digest(&outside), before, "{rule}");
            assert_eq!(kinds(), odd, "{rule}: what stood there stands there still");
            for (name, size) in [("plain", 1_500_000), ("small-plain", 100)] {
                assert!(
                    fs::read(target.join(name)).unwrap() == content(0, size),
                    "{rule}"
                );
            }
            for name in ["part-fifo", "part-link"] {
                let landed = fs::read(target.join(name)).unwrap();
                assert_eq!(landed.len(), 1_500_000, "{rule}: {name}");
            }
        }
    }
}
