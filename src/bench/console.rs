//! The broker's management API, as far as a bench needs it: virtual hosts come and go. And our own `/metrics`.

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks one thing over HTTP, on a connection of its own, and gives the body of the answer.
pub(super) async fn request(
    (host, port): (&str, u16),
    method: &str,
    path: &str,
    login: Option<(&str, &str)>,
    body: &str,
) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect((host, port)).await.with_context(|| format!("{host}:{port}"))?;
    let authorization = login.map(|(user, password)| {
        format!("Authorization: Basic {}\r\n", base64(format!("{user}:{password}").as_bytes()))
    });
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{}Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        authorization.unwrap_or_default(),
        body.len()
    );
    socket.write_all((head + body).as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("{method} {path}: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_written_in_base64() {
        assert_eq!(base64(b"coordinator:coordinator"), "Y29vcmRpbmF0b3I6Y29vcmRpbmF0b3I=");
        assert_eq!([base64(b"a"), base64(b"ab"), base64(b"abc")], ["YQ==", "YWI=", "YWJj"]);
    }
}
