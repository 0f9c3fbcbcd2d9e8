//! What only a terminal sees: colours, a screen in its place, a question. `script` makes the terminal.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::world::World;

/// Somebody at a terminal.
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    /// What it showed that nobody waited for yet.
    shown: String,
}

impl Terminal {
    /// Sits down and runs this, with nothing in the environment but these.
    pub(crate) fn run(command: &str, environment: &[(&str, &str)]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_code-imports")).parent().unwrap().display();
        let path = format!("{program}:/usr/local/bin:/usr/bin:/bin");
        let mut script = Command::new("script");
        let command = format!("stty rows 40 cols 200; {command}");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env_clear();
        script.envs([
            ("PATH", path.as_str()),
            ("TERM", "xterm"),
            ("HOME", "/nonexistent"),
            ("LANG", "C.UTF-8"),
        ]);
        script.envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let (keys, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, keys, screen, shown: String::new() }
    }

    /// The same, as somebody on the database of a world.
    pub(crate) fn of(world: &World, command: &str, environment: &[(&str, &str)]) -> Self {
        let own = [("DATABASE_URL", world.database.url.as_str()), ("CODE_IMPORTS_USER", "david")];
        Self::run(command, &[&own, environment].concat())
    }

    /// Types.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until it shows this, and says what it showed until then.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let count = self.screen.read(&mut bytes).unwrap();
            assert!(count > 0, "{text:?} was not shown, but {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Waits for the end; the exit code, and what it showed that nobody waited for.
    pub(crate) fn end(mut self) -> (i32, String) {
        let mut rest = Vec::new();
        self.screen.read_to_end(&mut rest).unwrap();
        self.shown.push_str(&String::from_utf8_lossy(&rest));
        (self.child.wait().unwrap().code().unwrap(), self.shown)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_that_want_them() {
    let world = World::new().await;
    world.register();
    world.run("david", "import update ~gnome/gnome-terminal/import --status failing").text();
    let list = "code-imports import list";
    let screen = |environment: &[(&str, &str)]| Terminal::of(&world, list, environment).end().1;
    let coloured = screen(&[]);
    assert!(coloured.contains("\x1b[38;5;9mFAILING"), "{coloured:?}");
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let screen = screen(&[plain]);
        assert!(screen.contains("FAILING") && !screen.contains('\x1b'), "{plain:?}: {screen:?}");
    }
    assert!(!world.run("david", "import list").text().contains('\x1b'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_keeps_to_the_width_and_a_name_in_one_piece() {
    let world = World::new().await;
    world.register();
    for (width, is_wrapped) in [(0, false), (80, true), (300, false)] {
        let list = format!("stty rows 0 cols {width}; NO_COLOR=1 code-imports import list");
        let list = if width == 0 { list } else { list.replace("rows 0", "rows 40") };
        let screen = Terminal::of(&world, &list, &[]).end().1;
        assert!(screen.contains("~gnome/gnome-terminal/import "), "{width}: {screen}");
        assert_eq!(screen.lines().count() > 2, is_wrapped, "{width}: {screen}");
        assert!(!is_wrapped || screen.lines().all(|line| line.len() <= width), "{screen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_at_a_terminal_is_asked() {
    let world = World::new().await;
    world.register();
    let suspend = "code-imports import suspend --all";
    let mut asked = Terminal::of(&world, suspend, &[]);
    let preview = asked.wait_for("Suspend 1 import? Type yes: ");
    assert!(preview.contains("  ~gnome/gnome-terminal/import"), "{preview:?}");
    asked.type_in("no\n");
    let (code, rest) = asked.end();
    assert!(code == 1 && rest.contains("Nothing was suspended."), "{code} {rest:?}");

    let mut asked = Terminal::of(&world, suspend, &[]);
    asked.wait_for("Type yes: ");
    asked.type_in("yes\n");
    let (code, rest) = asked.end();
    assert!(code == 0 && rest.contains("1 import was suspended."), "{code} {rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_screen_fits_and_is_renewed_in_its_place() {
    let world = World::new().await;
    let vhost = crate::common::Vhost::new();
    let broker = code_imports::broker::Broker::new(vhost.url.parse().unwrap(), "code-imports", "test");
    broker.declare().await.unwrap();
    let client = world.database.client().await;
    let machines = "INSERT INTO machines (hostname, state, date_state)
        SELECT 'm' || n, 'ONLINE', now() FROM generate_series(10, 59) AS n";
    client.execute(machines, &[]).await.unwrap();
    let watch = "stty rows 20 cols 100; exec code-imports status --watch --interval 1s";
    let mut watching = Terminal::of(&world, watch, &[("AMQP_URL", vhost.url.as_str())]);
    let end = "\x1b[J";
    let first = watching.wait_for(end);
    assert!(first.starts_with("\x1b[H") && first.contains("Due:"), "{first:?}");
    let lines = first.matches('\n').count();
    assert!(lines < 20, "{lines} lines: {first:?}");
    assert!(first.contains(" more; `machine list` shows all"), "{first:?}");
    // The next begins where the first began, and shows what changed.
    world.register();
    loop {
        let next = watching.wait_for(end);
        assert!(next.trim_start().starts_with("\x1b[H"), "{next:?}");
        if next.replace("\x1b[K", "").contains("Due:              1,") {
            break;
        }
    }
    watching.type_in("\x03");
    assert_eq!(watching.end().0, 0);
}
