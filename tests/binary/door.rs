//! A door between a process and a server: open, held or shut, as the test wants.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use crate::process::within;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Whoever comes gets through.
    Open,
    /// Whoever comes is let in, and hears nothing.
    Held,
    /// Whoever comes is sent away, and whoever is through is cut off.
    Shut,
}

/// A listener on loopback in front of a port on loopback.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) port: u16,
    state: Arc<watch::Sender<State>>,
    /// How many have come.
    came: Arc<watch::Sender<usize>>,
}

impl Door {
    /// A door that is open.
    pub(crate) async fn open_to(port: u16) -> Self {
        Self::to(port, State::Open).await
    }

    /// A door at which everybody waits.
    pub(crate) async fn held_to(port: u16) -> Self {
        Self::to(port, State::Held).await
    }

    /// A door at which everybody is sent away.
    pub(crate) async fn shut_to(port: u16) -> Self {
        Self::to(port, State::Shut).await
    }

    async fn to(server: u16, state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let door = Self { port, state: Arc::new(watch::channel(state).0), came: Arc::default() };
        let keeper = door.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                keeper.came.send_modify(|came| *came += 1);
                tokio::spawn(keeper.clone().let_in(stream, server));
            }
        });
        door
    }

    async fn let_in(self, mut stream: TcpStream, server: u16) {
        let mut state = self.state.subscribe();
        if *state.wait_for(|state| *state != State::Held).await.unwrap() == State::Shut {
            return;
        }
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut stream, &mut server) => {}
            _ = state.wait_for(|state| *state == State::Shut) => {}
        }
    }

    pub(crate) fn open(&self) {
        self.state.send_replace(State::Open);
    }

    pub(crate) fn shut(&self) {
        self.state.send_replace(State::Shut);
    }

    /// Waits until so many more have come.
    pub(crate) async fn sees(&self, more: usize) {
        let mut came = self.came.subscribe();
        let expected = *came.borrow() + more;
        within(&format!("{more} at the door"), came.wait_for(|came| *came >= expected)).await.unwrap();
    }

    /// The same URL, through this door.
    pub(crate) fn instead_of(&self, url: &str) -> String {
        let mut url: Url = url.parse().unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }
}

/// The port that a URL names.
pub(crate) fn port_of(url: &str) -> u16 {
    url.parse::<Url>().unwrap().port().unwrap()
}
