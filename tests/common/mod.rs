//! What every test of a service needs: a virtual host of its own at the real broker.

use std::time::{SystemTime, UNIX_EPOCH};

/// A virtual host of one test, deleted at its end.
#[derive(Debug)]
pub(crate) struct Vhost {
    /// Where it is, for `AmqpUrls`.
    pub(crate) url: String,
    name: String,
    console: Console,
}

impl Vhost {
    /// Makes a virtual host at the broker of the environment: `scripts/services start` says where.
    pub(crate) fn new() -> Self {
        let (amqp, console) = (setting("AMQP_URL"), Console::of(&setting("AMQP_CONSOLE_URL")));
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let name = format!("test-{}-{nanos}", std::process::id());
        let server = amqp.match_indices('/').nth(2).map_or(amqp.as_str(), |(end, _)| &amqp[..end]);
        let url = format!("{server}/{name}");
        console.put(&format!("vhosts/{name}"), "{}");
        let all = r#"{"configure": ".*", "write": ".*", "read": ".*"}"#;
        console.put(&format!("permissions/{name}/{}", user(&amqp)), all);
        Self { url, name, console }
    }

    /// Deletes something of it: `queues`, `/name`.
    pub(crate) fn delete(&self, things: &str, which: &str) {
        self.console.delete(&format!("{things}/{}{which}", self.name));
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        self.delete("vhosts", "");
    }
}

/// The broker's management API.
#[derive(Debug)]
struct Console {
    url: String,
    authorization: String,
}

impl Console {
    /// `http://user:password@host:port`.
    fn of(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").expect("AMQP_CONSOLE_URL is a URL");
        let (account, host) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
        let url = format!("{scheme}://{}/api", host.trim_end_matches('/'));
        Self { url, authorization: format!("Basic {}", base64(account.as_bytes())) }
    }

    fn put(&self, path: &str, body: &str) {
        let request = ureq::put(format!("{}/{path}", self.url)).header("Authorization", &self.authorization);
        request.content_type("application/json").send(body).expect("the console takes it");
    }

    fn delete(&self, path: &str) {
        let request = ureq::delete(format!("{}/{path}", self.url));
        // A virtual host that is left over harms nobody, and a panic here would hide the test's own.
        drop(request.header("Authorization", &self.authorization).call());
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: type `make test`"))
}

/// The account of a URL.
fn user(url: &str) -> &str {
    let account = url.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
    account.map_or("guest", |(account, _)| account.split(':').next().unwrap_or(account))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { DIGITS[index as usize] as char } else { '=' });
        }
    }
    text
}
