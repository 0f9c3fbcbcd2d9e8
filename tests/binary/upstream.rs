//! A repository that is served on loopback, and changes when it is told to.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Running;
use crate::world::{World, free_port};

/// One repository, with a work tree, and a daemon that serves it.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    path: PathBuf,
    _daemon: Running,
}

impl Upstream {
    /// Makes a repository of a few commits, branches and tags, and serves it.
    pub(crate) async fn serve(world: &World) -> Self {
        let base = world.directory.path().join("upstream");
        let path = base.join("project");
        std::fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "--quiet", "--initial-branch=main"]);
        let port = free_port();
        // Not `git daemon`, which would have the daemon for a child.
        let mut daemon = Command::new(Path::new(&git(&path, &["--exec-path"])).join("git-daemon"));
        daemon.args(["--verbose", "--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
        daemon.arg(format!("--port={port}")).arg(format!("--base-path={}", base.display()));
        daemon.env("PATH", std::env::var_os("PATH").unwrap());
        let daemon = Running::start("git-daemon", &daemon);
        daemon.line("Ready to rumble").await;
        let upstream = Self { port, path, _daemon: daemon };
        upstream.commit("first");
        upstream.git(&["branch", "topic/one"]);
        upstream.commit("second");
        upstream.git(&["tag", "v1.0"]);
        upstream
    }

    pub(crate) fn commit(&self, text: &str) {
        self.git(&["commit", "--quiet", "--allow-empty", "--message", text]);
    }

    /// Where it is served, at this port or at that of a door to it.
    pub(crate) fn url_at(port: u16) -> String {
        format!("git://127.0.0.1:{port}/project/.git")
    }

    pub(crate) fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// One more address of it: a repository is imported from each address once.
    pub(crate) fn another_url(&self, n: usize) -> String {
        std::os::unix::fs::symlink(&self.path, self.path.with_file_name(n.to_string())).unwrap();
        format!("git://127.0.0.1:{}/{n}/.git", self.port)
    }

    /// Branches and tags, and what they name.
    pub(crate) fn refs(&self) -> String {
        refs(&self.path)
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments)
    }
}

/// The branches and tags of a repository, and what they name.
pub(crate) fn refs(repository: &Path) -> String {
    git(repository, &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags"])
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let identity = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
    let mut git = Command::new("git");
    git.args(arguments).current_dir(directory).envs(identity.map(|name| (name, "somebody@example.org")));
    let output = git.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
