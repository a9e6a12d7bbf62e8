//! Ports for servers that bind them a moment later, or again after a kill. The tests inside the library use this file
//! too.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the kernel takes ports for outgoing connections: as long as nobody listens there,
/// nobody else is given ours.
const PORTS: Range<u16> = 18_000..32_000;
static NEXT: AtomicU16 = AtomicU16::new(0);

/// One that is free, and not given out a second time.
pub(crate) fn free() -> u16 {
    // Another test process begins elsewhere.
    let spread = std::process::id().wrapping_mul(97) % u32::from(PORTS.end - PORTS.start);
    let offset = u16::try_from(spread).unwrap_or_default();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + offset.wrapping_add(step) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
