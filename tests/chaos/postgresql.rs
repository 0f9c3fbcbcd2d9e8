//! PostgreSQL of the harness: two nodes, one of which follows the other, synchronously.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

use crate::link::Link;
use crate::process::{Process, free_port, run, until};

/// Room for one node; what is full is full.
const DISK: &str = "size=600m";

/// How long a server may take to answer, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Both nodes, and which of them leads.
pub(crate) struct Cluster {
    nodes: [Node; 2],
    /// To each node, for the other one when it follows.
    pub(crate) replication: [Link; 2],
    primary: std::sync::atomic::AtomicUsize,
}

/// One server with its data, perhaps on a small disk of its own.
pub(crate) struct Node {
    pub(crate) port: u16,
    home: PathBuf,
    log: PathBuf,
    programs: PathBuf,
    is_mounted: bool,
    process: Mutex<Option<Process>>,
}

impl Cluster {
    /// Makes both, and starts them.
    pub(crate) async fn start(directory: &Path) -> Self {
        let nodes = [Node::new(directory, "a").await, Node::new(directory, "b").await];
        nodes[0].initialise().await;
        nodes[0].start().await;
        let replication = [Link::to(nodes[0].port).await, Link::to(nodes[1].port).await];
        let cluster = Self { nodes, replication, primary: 0.into() };
        let admin = cluster.connect_to("postgres").await.unwrap();
        admin.batch_execute("CREATE DATABASE code_imports").await.unwrap();
        cluster.follow().await;
        cluster
    }

    /// The node that takes writes.
    pub(crate) fn primary(&self) -> &Node {
        &self.nodes[self.primary.load(std::sync::atomic::Ordering::SeqCst)]
    }

    fn standby(&self) -> &Node {
        &self.nodes[1 - self.primary.load(std::sync::atomic::Ordering::SeqCst)]
    }

    /// The ports of both.
    pub(crate) fn ports(&self) -> [u16; 2] {
        [self.nodes[0].port, self.nodes[1].port]
    }

    /// Where the database is now, past every proxy.
    pub(crate) fn url(&self) -> String {
        format!("postgres://code_imports@127.0.0.1:{}/code_imports", self.primary().port)
    }

    /// A connection past every proxy, if the server takes one.
    pub(crate) async fn connect(&self) -> Option<Client> {
        self.connect_to("code_imports").await
    }

    async fn connect_to(&self, database: &str) -> Option<Client> {
        self.primary().connect(database).await
    }

    /// The primary died: the standby leads, and once what died is back it follows.
    pub(crate) async fn fail_over(&self, signal: Signal) {
        self.primary().kill(signal).await;
        let standby = self.standby();
        standby.promote().await;
        self.primary.fetch_xor(1, std::sync::atomic::Ordering::SeqCst);
        // Nobody follows it yet, and a COMMIT would wait for ever.
        standby.execute("ALTER SYSTEM RESET synchronous_standby_names").await;
        standby.execute("SELECT pg_reload_conf()").await;
    }

    /// Makes the other node anew, a synchronous standby of the primary.
    pub(crate) async fn follow(&self) {
        let (primary, standby) = (self.primary(), self.standby());
        let link = &self.replication[self.primary.load(std::sync::atomic::Ordering::SeqCst)];
        // The network between them may be broken, too.
        let copied = async || standby.copy(link.port).await;
        assert!(until(PATIENCE, copied).await, "the standby cannot be made: {}", standby.log.display());
        standby.start().await;
        let following = async || {
            let Some(client) = self.connect_to("postgres").await else { return false };
            let query = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
            client.query_one(query, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) > 0)
        };
        assert!(until(PATIENCE, following).await, "the standby does not follow");
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        primary.execute("SELECT pg_reload_conf()").await;
    }
}

impl Node {
    async fn new(directory: &Path, name: &str) -> Self {
        let home = directory.join(format!("postgresql-{name}"));
        std::fs::create_dir_all(&home).unwrap();
        let log = directory.join(format!("postgresql-{name}.log"));
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "none"]).arg(&home);
        let is_mounted = run(&mut mount, &log).await;
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
        let node =
            Self { port: free_port(), home, log, programs: programs(), is_mounted, process: None.into() };
        if rustix::process::geteuid().is_root() {
            assert!(run(Command::new("chown").arg("postgres:").arg(&node.home), &node.log).await);
        }
        node
    }

    /// A program of PostgreSQL's, as a user who may run it.
    fn program(&self, name: &str) -> std::process::Command {
        let mut command = std::process::Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        }
        command.arg("--").arg(self.programs.join(name)).current_dir("/").env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C");
        command
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    async fn tool(&self, name: &str, arguments: &[&str]) -> bool {
        let mut command = self.program(name);
        command.args(arguments).arg("-D").arg(self.data());
        run(&mut command.into(), &self.log).await
    }

    async fn initialise(&self) {
        let arguments = ["-U", "code_imports", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
        assert!(self.tool("initdb", &arguments).await, "no cluster is made: {}", self.log.display());
    }

    async fn copy(&self, port: u16) -> bool {
        let _ = std::fs::remove_dir_all(self.data());
        let port = port.to_string();
        let from =
            ["-h", "127.0.0.1", "-p", &port, "-U", "code_imports", "-R", "-X", "stream", "-c", "fast", "-N"];
        self.tool("pg_basebackup", &from).await
    }

    async fn promote(&self) {
        assert!(self.tool("pg_ctl", &["promote", "-w"]).await, "nobody leads: {}", self.log.display());
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn start(&self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "max_wal_size=128MB",
            "timezone=UTC",
            "log_timezone=UTC",
            "log_line_prefix=%m [%p] %a ",
            "hot_standby=on",
        ] {
            command.args(["-c", setting]);
        }
        *self.process.lock().await = Some(Process::start(&command, &self.log));
        let answers = async || {
            let mut process = self.process.lock().await;
            // One that dies at once is started again: the children of the dead one hold on for a moment.
            if process.as_mut().is_some_and(|process| process.ended().is_some()) {
                *process = Some(Process::start(&command, &self.log));
            }
            drop(process);
            self.connect("postgres").await.is_some()
        };
        assert!(until(PATIENCE, answers).await, "PostgreSQL does not answer: {}", self.log.display());
    }

    /// Ends it by a signal: INT is a fast stop, QUIT an immediate one, KILL none at all.
    pub(crate) async fn kill(&self, signal: Signal) {
        let mut process = self.process.lock().await;
        if let Some(mut process) = process.take() {
            process.send(signal);
            process.end_within(Duration::from_secs(30)).await;
        }
    }

    /// Whether its postmaster lives.
    pub(crate) async fn lives(&self) -> bool {
        self.process.lock().await.as_mut().is_some_and(|process| process.ended().is_none())
    }

    async fn connect(&self, database: &str) -> Option<Client> {
        let url = format!("postgres://code_imports@127.0.0.1:{}/{database}?connect_timeout=3", self.port);
        let connecting = tokio_postgres::connect(&url, NoTls);
        let (client, connection) =
            tokio::time::timeout(Duration::from_secs(5), connecting).await.ok()?.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    async fn execute(&self, statement: &str) {
        let client = self.connect("postgres").await.unwrap();
        client.batch_execute(statement).await.unwrap();
    }

    /// Leaves no room on its disk: where there is a disk of its own, by filling that; else by a limit on the size
    /// of files.
    pub(crate) async fn fill_disk(&self) {
        if self.is_mounted {
            let ballast = self.home.join("ballast");
            let mut fill = Command::new("dd");
            fill.args(["if=/dev/zero", "bs=1M"]).arg(format!("of={}", ballast.display()));
            // It fails when the disk is full, which is what is wanted.
            assert!(!run(&mut fill, &self.log).await, "the disk is larger than was thought");
        } else {
            self.limit_files("8192").await;
        }
    }

    /// Makes room again.
    pub(crate) async fn empty_disk(&self) {
        if self.is_mounted {
            let _ = std::fs::remove_file(self.home.join("ballast"));
        } else {
            self.limit_files("unlimited").await;
        }
    }

    async fn limit_files(&self, limit: &str) {
        let process = self.process.lock().await;
        let Some(postmaster) = process.as_ref().map(Process::id) else { return };
        let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let children = children.unwrap_or_default();
        for id in children.split_whitespace().map(str::to_owned).chain([postmaster.to_string()]) {
            let mut command = Command::new("prlimit");
            command.args(["--pid", &id, &format!("--fsize={limit}:unlimited")]);
            // A child may have ended meanwhile.
            run(&mut command, &self.log).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.get_mut().take());
        if self.is_mounted {
            drop(std::process::Command::new("umount").arg("-l").arg(&self.home).output());
        }
    }
}

/// The programs of the newest version that is installed.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed").1
}
