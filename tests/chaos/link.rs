//! The network between two of them: a loopback proxy that can be cut, delayed, throttled, or half open.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::process::pass;

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// As it should be.
    Fair,
    /// Every connection is closed, and no new one is made.
    Cut,
    /// Each piece comes later.
    Delayed(Duration),
    /// So many bytes a second.
    Throttled(u64),
    /// What the client says does not arrive, and nobody is told.
    DeafServer,
    /// What the server says does not arrive, and nobody is told.
    DeafClient,
}

/// One way between a client and a server.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Where the client goes.
    pub(crate) port: u16,
    weather: watch::Sender<Weather>,
}

impl Link {
    /// Opens a way to a server on loopback.
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = watch::Sender::new(Weather::Fair);
        let seen = weather.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *seen.borrow() != Weather::Cut {
                    tokio::spawn(connect(client, server, seen.clone()));
                }
            }
        });
        Self { port, weather }
    }

    /// Changes how it is.
    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn connect(client: TcpStream, server: u16, weather: watch::Receiver<Weather>) {
    let address = SocketAddr::from(([127, 0, 0, 1], server));
    let Ok(server) = TcpStream::connect(address).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut seen = weather.clone();
    let pumps = async {
        // One end closes: so does the other, as when a process dies.
        tokio::select! {
            () = pump(from_client, to_server, weather.clone(), Weather::DeafServer) => {}
            () = pump(from_server, to_client, weather, Weather::DeafClient) => {}
        }
    };
    tokio::select! {
        () = pumps => {}
        _ = seen.wait_for(|weather| *weather == Weather::Cut) => {}
    }
}

/// Passes on what comes, as the weather is; in the weather `deaf` it waits.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut seen: watch::Receiver<Weather>,
    deaf: Weather,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let weather = *seen.borrow_and_update();
        let most = match weather {
            Weather::Throttled(rate) => usize::try_from(rate / 10).unwrap().clamp(1, buffer.len()),
            _ => buffer.len(),
        };
        let Ok(count @ 1..) = from.read(&mut buffer[..most]).await else { return };
        let weather = *seen.borrow_and_update();
        match weather {
            Weather::Delayed(time) => pass(time).await,
            Weather::Throttled(rate) => {
                pass(Duration::from_millis(count as u64 * 1000 / rate.max(1))).await;
            }
            _ if weather == deaf && seen.wait_for(|weather| *weather != deaf).await.is_err() => return,
            _ => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
