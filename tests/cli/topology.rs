//! `topology`.

use crate::common::Vhost;
use crate::world::{Ended, program};

#[test]
fn the_topology_is_declared_and_compared() {
    let vhost = Vhost::new();
    let run = |words: &str| -> Ended {
        program(&format!("topology {words}")).env("AMQP_URL", &vhost.url).output().unwrap().into()
    };
    let missing = run("check");
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stdout.contains("there is no queue code-imports.work.git"), "{missing:?}");
    assert_eq!(missing.stdout.lines().count(), 15, "{missing:?}");

    assert_eq!(run("apply").text(), "Every exchange and queue of code-imports is there.\n");
    assert_eq!(run("apply").text(), "Every exchange and queue of code-imports is there.\n");
    assert_eq!(run("check").text(), "Every exchange and queue is as it should be.\n");

    vhost.delete("queues", "/code-imports.finish");
    let missing = run("check");
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stdout.starts_with("topology: there is no queue code-imports.finish;"), "{missing:?}");
    assert_eq!(run("check --prefix other").code, 1);
}
