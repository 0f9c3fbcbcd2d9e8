//! A broker that can be lost.

use tokio::sync::mpsc;

/// Stands between a worker and the broker, so that they can be parted.
pub(crate) struct Proxy {
    pub(crate) url: String,
    cut: mpsc::UnboundedSender<()>,
}

impl Proxy {
    pub(crate) async fn new(url: &str) -> Self {
        let (server, vhost) = url.rsplit_once('/').unwrap();
        let (account, host) = server.rsplit_once('@').unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{account}@{}/{vhost}", listener.local_addr().unwrap());
        let (cut, mut cuts) = mpsc::unbounded_channel();
        let host = host.to_owned();
        tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (mut worker, host) = (accepted.unwrap().0, host.clone());
                        connections.spawn(async move {
                            let mut broker = tokio::net::TcpStream::connect(host).await.unwrap();
                            drop(tokio::io::copy_bidirectional(&mut worker, &mut broker).await);
                        });
                    }
                    Some(()) = cuts.recv() => connections.abort_all(),
                }
            }
        });
        Self { url, cut }
    }

    pub(crate) fn cut(&self) {
        self.cut.send(()).unwrap();
    }
}
