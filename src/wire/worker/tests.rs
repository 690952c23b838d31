//! Every message survives its way, and nothing else does.

use super::*;
use crate::bytes::Malformed;
use crate::wire;

fn file(path: &str) -> Name {
    Name {
        root: 0,
        path: path.into(),
    }
}

#[test]
fn every_message_survives_the_way_there_and_back() {
    let put = |kind| Put {
        name: file("a/b"),
        mode: 0o755,
        mtime: -3,
        steady: true,
        kind,
    };
    let to = [
        ToWorker::Hello {
            protocol: 1,
            version: "v".into(),
            now: 5,
            client: "c".into(),
        },
        ToWorker::Open(Open {
            key: LaneKey([1; 16]),
            project: "p".into(),
            roots: vec!["/a".into()],
            base: Some((2, ManifestId([2; 16]))),
            like: Some((LaneKey([3; 16]), 4)),
            keep: Keep {
                ephemeral: true,
                max_age_secs: 5,
                min_free_mib: 6,
            },
        }),
        ToWorker::Resync(Resync::List),
        ToWorker::Put(put(Kind::File { size: 3 })),
        ToWorker::Put(put(Kind::Dir)),
        ToWorker::Put(put(Kind::Symlink {
            target: "../x".into(),
        })),
        ToWorker::Data(b"abc".to_vec()),
        ToWorker::Delete(file("odd\nname")),
        ToWorker::Commit(ManifestId([3; 16])),
        ToWorker::Run(Run {
            argv: vec!["cargo".into(), "build".into()],
            cwd: "/a".into(),
            env: vec![("K".into(), "v".into())],
            merged: true,
            cargo_home: Some("/h".into()),
            toolchain: Some("/h/toolchains/t".into()),
            cargo_config: Some(b"c".to_vec()),
            needs: vec!["mold".into()],
            collect: Collect {
                changed: true,
                products: vec![Products {
                    dir: "/a/target/debug".into(),
                    deep: false,
                }],
            },
            runner: vec!["CARGO_TARGET_X_RUNNER".into()],
            install: Some(Install {
                dir: "/a".into(),
                id: [4; 16],
                isolated: true,
                modules: vec!["/a/node_modules".into()],
            }),
        }),
        ToWorker::Signal(2),
        ToWorker::Fetch(vec![Want {
            name: file("t"),
            had: Some(7),
        }]),
        ToWorker::Close,
        ToWorker::Ping,
        ToWorker::Hangup(1),
        ToWorker::Clean("/w/target".into()),
        ToWorker::Crates(vec!["registry/cache/r/a-1.0.0.crate".into()]),
    ];
    for message in to {
        wire::travels(&message, ToWorker::encode, ToWorker::decode);
    }
    let from = [
        FromWorker::Ready {
            protocol: wire::PROTOCOL,
            version: "v".into(),
            now: 1,
            facts: Facts {
                tools: vec![("a".into(), "b".into())],
                ..Facts::default()
            },
        },
        FromWorker::Lane {
            number: 1,
            base: Base::Stale,
            roots: vec!["x".into()],
        },
        FromWorker::Committed,
        FromWorker::Started,
        FromWorker::Stdout(b"o".to_vec()),
        FromWorker::Stderr(b"e".to_vec()),
        FromWorker::Exited {
            exit: Exit::Signal(9),
            usage: Usage::default(),
            wall_ms: 4,
        },
        FromWorker::Produced {
            files: vec![Produced {
                name: file("t"),
                size: 1,
                mtime: 2,
                mode: 0o644,
                changed: true,
            }],
            last: true,
        },
        FromWorker::File(put(Kind::File { size: 0 })),
        FromWorker::Data(vec![]),
        FromWorker::Fetched {
            missing: vec![file("t")],
        },
        FromWorker::Closed,
        FromWorker::Failed {
            fault: Fault::NoTool,
            text: "t".into(),
        },
        FromWorker::Pong { now: 9 },
        FromWorker::Holds {
            files: vec![Held {
                name: file("t"),
                mode: 0o644,
                mtime: 6,
                kind: Kind::File { size: 4 },
                hash: 5,
            }],
            last: true,
        },
        FromWorker::Patch(vec![1]),
        FromWorker::Lacks(vec!["x".into()]),
        FromWorker::Program(Program {
            argv: vec!["target/debug/a".into()],
            env: vec![Setting {
                name: "LD_LIBRARY_PATH".into(),
                value: "/a".into(),
                front: true,
            }],
            libraries: vec!["/a/b.so".into()],
        }),
        FromWorker::Present(Present {
            root: 0,
            dir: "t".into(),
            names: vec![("n".into(), true)],
        }),
        FromWorker::Lanes(vec![(LaneKey([1; 16]), 2)]),
    ];
    for message in from {
        wire::travels(&message, FromWorker::encode, FromWorker::decode);
    }
}

#[test]
fn a_path_that_climbs_is_malformed() {
    for path in ["../x", "/etc/passwd", "a/../b", "", "."] {
        let mut out = Vec::new();
        FromWorker::Fetched {
            missing: vec![file(path)],
        }
        .encode(&mut out);
        let (frame, _) = wire::split(&out).unwrap().unwrap();
        assert_eq!(FromWorker::decode(frame), Err(Malformed), "{path}");
    }
}

#[test]
fn a_name_that_no_directory_could_hold_is_malformed() {
    for (len, fits) in [(255, true), (256, false)] {
        let mut out = Vec::new();
        FromWorker::Present(Present {
            root: 0,
            dir: "d".into(),
            names: vec![("n".repeat(len).into(), false)],
        })
        .encode(&mut out);
        let (frame, _) = wire::split(&out).unwrap().unwrap();
        assert_eq!(FromWorker::decode(frame).is_ok(), fits);
    }
}
