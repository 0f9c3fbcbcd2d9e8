//! A shell, and a service manager that fits into it.

use std::path::Path;
use std::process::Command;

use crate::process::Running;
use crate::world::{World, free_port};

/// Runs what a unit is, again and again unless it is stopped, as a service manager does.
const MANAGER: &str = r#"
while :; do
    if [ ! -e "$UNIT.stopped" ]; then
        setpriv --pdeathsig KILL -- "$@" &
        echo $! >"$UNIT.pid"
        wait $!
        rm -f "$UNIT.pid"
    fi
    sleep 0.1
done
"#;

/// What of `systemctl` the handbook uses.
const SYSTEMCTL: &str = r#"#!/bin/bash
set -eu
verb=$1 unit=$2
if [ "$verb" != start ]; then
    touch "$unit.stopped"
    if pid=$(cat "$unit.pid" 2>/dev/null); then
        kill -TERM "$pid"
        while [ -e "$unit.pid" ]; do sleep 0.1; done
    fi
fi
[ "$verb" = stop ] || rm -f "$unit.stopped"
"#;

/// The units of a system, and the environment of whoever looks after them.
pub(super) struct Units {
    /// The program, with the environment and the folder that everything here has.
    program: Command,
    running: Vec<Running>,
}

impl Units {
    /// Puts the program and the service manager on the path of a shell.
    pub(super) fn install(world: &World, person: &str) -> Self {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = world.directory.path().join("bin");
        std::fs::create_dir(&folder).unwrap();
        symlink(env!("CARGO_BIN_EXE_code-imports"), folder.join("code-imports")).unwrap();
        std::fs::write(folder.join("systemctl"), SYSTEMCTL).unwrap();
        std::fs::set_permissions(folder.join("systemctl"), PermissionsExt::from_mode(0o755)).unwrap();
        let mut program = world.program("");
        let path = std::env::var("PATH").unwrap();
        program.env("PATH", format!("{}:{path}", folder.display())).env("CODE_IMPORTS_USER", person);
        program.env("CODE_IMPORTS_HTTP", format!("127.0.0.1:{}", free_port()));
        program.env("AMQP_CONSOLE_URL", std::env::var("AMQP_CONSOLE_URL").unwrap());
        Self { program, running: Vec::new() }
    }

    /// Starts a unit: the coordinator, or the workers of a machine; at a broker of its own, if one is named.
    pub(super) fn start(&mut self, unit: &str, amqp_url: Option<String>) {
        let words = match unit.split_once('@') {
            Some((_, machine)) => format!("worker --machine {machine} --targets targets"),
            None => "serve --heartbeat-interval 1s --heartbeat-timeout 4s --machine-timeout 15s --echo-interval 1s \
                     --failure-limit 1"
                .to_owned(),
        };
        let mut manager = self.bash(MANAGER);
        manager.env("UNIT", unit).args(["manager", "code-imports"]).args(words.split_whitespace());
        if let Some(amqp_url) = amqp_url {
            manager.env("AMQP_URL", amqp_url);
        }
        self.running.push(Running::start(unit, &manager));
    }

    /// Ends a unit as a power failure does; the service manager is gone with it.
    pub(super) async fn kill(&self, unit: &str) {
        let killing = format!("touch '{unit}.stopped'; kill -KILL $(cat '{unit}.pid')");
        assert_eq!(self.type_in(&killing).await, Vec::<String>::new());
    }

    /// Types a line into a shell; gives what it prints, and how it ended unless that was well.
    pub(super) async fn type_in(&self, line: &str) -> Vec<String> {
        let mut ended = Running::start("shell", &self.bash(&format!("exec 2>&1\n{line}"))).end().await;
        if ended.code != Some(0) {
            ended.lines.push(format!("(exit code {})", ended.code.unwrap_or(-1)));
        }
        ended.lines
    }

    fn bash(&self, script: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-c", script]).current_dir(self.program.get_current_dir().unwrap_or(Path::new(".")));
        bash.env_clear().envs(self.program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        bash
    }
}
