//! The broker's management API, as far as a bench needs it: virtual hosts come and go. And our own `/metrics`.

use anyhow::Context as _;
use data_encoding::BASE64;
use ureq::http::Request;

/// Asks one thing over HTTP, and gives the body of the answer. Nothing is measured meanwhile.
pub(super) async fn request(
    (host, port): (&str, u16),
    method: &str,
    path: &str,
    login: Option<(&str, &str)>,
    body: &str,
) -> anyhow::Result<String> {
    let asked = format!("{method} http://{host}:{port}{path}");
    let mut request = Request::builder().method(method).uri(format!("http://{host}:{port}{path}"));
    if let Some((user, password)) = login {
        let login = BASE64.encode(format!("{user}:{password}").as_bytes());
        request = request.header("authorization", format!("Basic {login}"));
    }
    let request = request.header("content-type", "application/json").body(body.to_owned())?;
    let asking = move || ureq::run(request)?.body_mut().read_to_string();
    tokio::task::spawn_blocking(asking).await?.context(asked)
}
