//! A line to a target on a socket, for the tests that every such target must pass. It carries one call a connection,
//! counts them, and lets one of them, and those after it, get into the trouble that it is told.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::outbound::testing::Received;

/// Far beyond what a loaded machine needs; only a hang reaches it.
const DEADLINE: Duration = Duration::from_mins(2);

/// The wait that a refusal asks for.
pub(super) const WAIT: Duration = Duration::from_secs(40);

/// Waits for something that comes, or fails.
pub(super) async fn in_time<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// What becomes of a call, and of those after it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// Half of it arrives, and nothing after that.
    Half,
    /// It is done, its answer goes nowhere, and nothing arrives after that.
    Mute,
    /// It is done, and the line breaks before the answer; the line of those after it breaks at once.
    HangUp,
    /// It is refused with this status and a wait, and so are those after it.
    Refuse(u16),
    /// It waits until the line goes on; those after it do not.
    Hold,
}

/// What becomes of one call.
#[derive(Clone, Copy)]
enum Fate {
    Passes,
    /// It is the one that was meant.
    Meets(Trouble),
    /// It comes after that one.
    Follows(Trouble),
}

/// The line. It ends with the runtime of its test.
pub(super) struct Line {
    url: String,
    /// Present until it is opened.
    socket: Mutex<Option<TcpSocket>>,
    wire: Arc<Wire>,
}

struct Wire {
    server: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// Which of the next calls gets into trouble, the next one being 1; 0 once it came.
    trouble: Option<(usize, Trouble)>,
    /// Whether that call has gone as far as it goes.
    is_met: bool,
    /// How often the line was told to go on.
    rounds: usize,
    /// Calls that have come whole and are not over.
    under_way: usize,
}

impl Line {
    /// One to the service at this URL.
    pub(super) fn to(url: &str) -> Self {
        let line = Self::closed(url);
        line.open();
        line
    }

    /// The same, and its connections are refused until it is opened: its port is taken, and nobody listens.
    pub(super) fn closed(url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("a URL of plain HTTP");
        let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let server: SocketAddr = server.parse().expect("an address and a port");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let url = format!("http://{}{path}", socket.local_addr().expect("an address"));
        let wire = Wire { server, state: watch::Sender::new(State::default()) };
        Self { url, socket: Mutex::new(Some(socket)), wire: Arc::new(wire) }
    }

    /// Carries calls from now on.
    pub(super) fn open(&self) {
        let socket = self.socket.lock().expect("no test panics in here").take().expect("it is opened once");
        let listener = socket.listen(64).expect("its port is bound");
        let (wire, tracker) = (self.wire.clone(), TaskTracker::new());
        tracker.clone().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let wire = wire.clone();
                tracker.spawn(async move {
                    let _ = wire.carry(client).await;
                });
            }
        });
    }

    /// The URL of the service by this line.
    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// Has one of the next calls, of which the first is 1, get into trouble.
    pub(super) fn meet(&self, call: usize, trouble: Trouble) {
        self.wire.state.send_modify(|state| {
            state.trouble = Some((call, trouble));
            state.is_met = false;
        });
    }

    /// Whether that call came and has gone as far as it goes.
    pub(super) fn has_met(&self) -> bool {
        self.wire.state.borrow().is_met
    }

    /// Waits until it has.
    pub(super) async fn met(&self) {
        in_time("a call", self.wire.until(|state| state.is_met)).await;
    }

    /// Lets what waits go on, and is sound from now on.
    pub(super) fn go_on(&self) {
        self.wire.state.send_modify(|state| {
            state.trouble = None;
            state.rounds += 1;
        });
    }

    /// Waits until no call is under way.
    pub(super) async fn quiet(&self) {
        in_time("the calls to end", self.wire.until(|state| state.under_way == 0)).await;
    }
}

impl Wire {
    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(is_so).await;
    }

    /// Carries the one call of a connection.
    async fn carry(&self, mut client: TcpStream) -> io::Result<()> {
        let Some(call) = receive(&mut client).await? else { return Ok(()) };
        let (fate, round) = self.fate();
        let carried = self.treat(&call, &mut client, fate, round).await;
        self.state.send_modify(|state| state.under_way -= 1);
        carried
    }

    /// What becomes of the call that has come now, and in which round.
    fn fate(&self) -> (Fate, usize) {
        let (mut fate, mut round) = (Fate::Passes, 0);
        self.state.send_modify(|state| {
            state.under_way += 1;
            round = state.rounds;
            fate = match &mut state.trouble {
                None => Fate::Passes,
                Some((0, trouble)) => Fate::Follows(*trouble),
                Some((calls, trouble)) => {
                    *calls -= 1;
                    if *calls == 0 { Fate::Meets(*trouble) } else { Fate::Passes }
                }
            };
        });
        (fate, round)
    }

    async fn treat(&self, call: &[u8], client: &mut TcpStream, fate: Fate, round: usize) -> io::Result<()> {
        let goes_on = self.until(|state| state.rounds != round);
        match fate {
            Fate::Passes | Fate::Follows(Trouble::Hold) => {
                let answer = self.ask(call).await?;
                client.write_all(&answer).await?;
            }
            Fate::Meets(Trouble::Hold) => {
                self.meets();
                goes_on.await;
                let answer = self.ask(call).await?;
                client.write_all(&answer).await?;
            }
            Fate::Meets(Trouble::Half) => {
                let mut server = TcpStream::connect(self.server).await?;
                server.write_all(&call[..call.len() / 2]).await?;
                self.meets();
                goes_on.await;
            }
            Fate::Meets(Trouble::Mute) => {
                self.ask(call).await?;
                self.meets();
                goes_on.await;
            }
            Fate::Follows(Trouble::Half | Trouble::Mute) => goes_on.await,
            Fate::Meets(Trouble::HangUp) => {
                self.ask(call).await?;
                self.meets();
            }
            Fate::Follows(Trouble::HangUp) => {}
            Fate::Meets(Trouble::Refuse(status)) | Fate::Follows(Trouble::Refuse(status)) => {
                self.meets();
                let wait = WAIT.as_secs();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nRetry-After: {wait}\r\nContent-Length: 0\r\n\r\n"
                );
                client.write_all(answer.as_bytes()).await?;
            }
        }
        Ok(())
    }

    fn meets(&self) {
        self.state.send_modify(|state| state.is_met = true);
    }

    /// Passes a call on, and gives the answer as it came.
    async fn ask(&self, call: &[u8]) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.server).await?;
        // A service may answer before it has all of it.
        let _ = server.write_all(call).await;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

/// A whole call, which asks for the end of its connection, so that the end of its answer is seen; `None` if the client
/// leaves before.
async fn receive(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut call = Vec::new();
    let end = loop {
        if let Some(end) = memchr::memmem::find(&call, b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut call).await? == 0 {
            return Ok(None);
        }
    };
    let head = Received { head: String::from_utf8_lossy(&call[..end]).into_owned(), body: String::new() };
    assert!(head.header("transfer-encoding").is_none(), "calls of ours say how long they are");
    let length: usize = head.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while call.len() < end + 4 + length {
        if client.read_buf(&mut call).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some([&call[..end + 2], b"connection: close\r\n", &call[end + 2..]].concat()))
}
