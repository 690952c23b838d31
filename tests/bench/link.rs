//! What a link's latency costs: a proxy that holds every byte back for half a round trip, between ssh
//! and sshd, and a warm edit through it. How much longer it takes than without, in round trips.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::common::home::{Home, shared_key};
use super::common::sshd::Sshd;
use super::common::{sample_crate, write};
use super::warm::run_once;
use super::{median, row};

const ROUNDS: usize = 9;
const RTT: Duration = Duration::from_millis(80);

/// Forwards to `port` and back, each way half of `rtt` late. Its threads end with their connections.
fn proxy(port: u16, rtt: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                return;
            };
            for end in [&client, &server] {
                let _ = end.set_nodelay(true);
            }
            late(
                client.try_clone().unwrap(),
                server.try_clone().unwrap(),
                rtt / 2,
            );
            late(server, client, rtt / 2);
        }
    });
    own
}

fn late(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut piece = vec![0; 64 << 10];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            if sender
                .send((Instant::now() + delay, piece[..n].to_vec()))
                .is_err()
            {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, piece) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// The median overhead of a warm edit over a link with this round trip.
fn overhead(rtt: Duration) -> f64 {
    let mut worker = Sshd::start("css", &shared_key());
    worker.port = proxy(worker.port, rtt);
    let home = Home::with("link", &[&worker], 4);
    sample_crate(&home.project);
    run_once(&home);
    let rounds = (0..ROUNDS).map(|n| {
        write(
            &home.project.join("src/main.rs"),
            &format!("fn main() {{ println!(\"{n} {{}}\", sample::place()) }}\n"),
        );
        let (total, compile) = run_once(&home);
        total - compile
    });
    median(rounds.collect())
}

pub fn run() {
    let (near, far) = (overhead(Duration::ZERO), overhead(RTT));
    row(
        "warm one-line edit, round trips",
        (far - near) / (RTT.as_secs_f64() * 1000.0),
        3.0,
        &format!("{far:.0} ms over {RTT:?}, {near:.0} ms over none, median of {ROUNDS}"),
    );
}
