//! What a target in trouble costs the others: four targets, two folders, one other DEX that is dead and one behind a
//! line of 50 KB/s, held against the same two folders alone, in the same run.
//!
//! `cargo bench --bench targets`; with `TMPDIR` in memory it leaves out what the disk does. The speed is that of files
//! arriving in both folders; 0.9 of the run without the other two is what is promised.

#[expect(dead_code, reason = "the benches need a part of what the tests share")]
#[path = "../it/support/mod.rs"]
mod support;
mod table;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use self::support::gateway::{Gateway, furnish};
use self::support::random::Random;
use self::support::{files, tus, wait};
use self::table::{speed, timed};

/// Uploads of each run: with a few hundred the disk's own pace shows more than the targets.
const UPLOADS: usize = 3_000;
const LENGTH: usize = 20 * 1024;
/// Senders at once.
const CONNECTIONS: usize = 4;
/// What the slow line carries in a second.
const BYTES_PER_SECOND: u32 = 50_000;
/// Both are measured so often, in turns, and the best counts: what disturbs a disk only ever makes it slower.
const ROUNDS: usize = 3;

fn main() {
    let receiver = Gateway::start();
    let slow = throttled(receiver.address());
    // Nobody listens on this port: a connection is refused.
    let others = format!(
        "  dead: {{ name: dead, type: dex, url: 'http://127.0.0.1:1/files' }}\n  \
         slow: {{ name: slow, type: dex, url: 'http://{slow}/files' }}\n"
    );
    let (mut alone, mut beside) = (0.0_f64, 0.0_f64);
    // Kept to the end: ext4 is slow to make files where many were deleted within the last minute.
    let mut gateways = Vec::new();
    for _ in 0..ROUNDS {
        for (others, best) in [("", &mut alone), (&others, &mut beside)] {
            let (speed, mut gateway) = run(others);
            *best = best.max(speed);
            gateway.kill();
            gateways.push(gateway);
        }
    }
    table::heading("files delivered to two folders", "file");
    table::limit("two targets", alone);
    table::row("with a dead one and one at 50 KB/s beside them", beside, alone);
}

/// Uploads files, and how many a second arrive in both folders.
fn run(others: &str) -> (f64, Gateway) {
    let mut gateway = Gateway::prepare(&[("CDEX_DELIVERY__CONFIG_FILE", "{data}/../delivery.yml")]);
    let names = if others.is_empty() { &["one", "two"][..] } else { &["dead", "slow", "one", "two"] };
    let routes = names
        .iter()
        .map(|name| format!("      - {{ name: {name}, path_template: '{{{{.UploadId}}}}' }}\n"))
        .collect::<Vec<_>>()
        .concat();
    let routing = format!(
        "targets:\n  one: {{ name: one, type: file, path: ./delivered/one }}\n  \
         two: {{ name: two, type: file, path: ./delivered/two }}\n{others}\
         routing_groups:\n  - data_stream_id: cdex\n    data_stream_route: attachment\n    delivery_targets:\n{routes}"
    );
    furnish(&gateway, "delivery.yml", &routing);
    gateway.launch();
    let content = Random::new(1).bytes(LENGTH);
    let (time, ()) = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    for _ in 0..UPLOADS / CONNECTIONS {
                        tus::upload(&gateway, tus::MANIFEST, &content);
                    }
                });
            }
        });
        wait::until("all files to arrive", || {
            let whole = gateway.delivered().iter().filter(|path| !files::is_part(path)).count();
            (whole >= 2 * UPLOADS).then_some(())
        });
    });
    (speed(2 * UPLOADS, time), gateway)
}

/// A line to a server that carries so much in a second, over all its connections together.
fn throttled(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let pace = std::sync::Arc::new(std::sync::Mutex::new(()));
        for client in listener.incoming().flatten() {
            let pace = pace.clone();
            std::thread::spawn(move || carry(client, server, &pace));
        }
    });
    address
}

fn carry(mut client: TcpStream, server: SocketAddr, pace: &std::sync::Mutex<()>) {
    let Ok(mut server) = TcpStream::connect(server) else { return };
    if let (Ok(mut from), Ok(mut to)) = (server.try_clone(), client.try_clone()) {
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    }
    let mut buffer = [0; 5_000];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let bytes = u32::try_from(read).unwrap_or(u32::MAX);
        let turn = pace.lock();
        std::thread::sleep(Duration::from_secs(1) * bytes / BYTES_PER_SECOND);
        drop(turn);
        if server.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}
