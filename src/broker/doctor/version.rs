//! The broker's version. It says it in the first frame of every connection, which the client library keeps to itself;
//! so that one frame is read here.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broker::{AmqpUrls, in_time};
use crate::domain::finding::Examination;

/// The oldest that we run on, and the first that nobody has tried.
const VERSIONS: std::ops::Range<(u32, u32)> = (3, 10)..(5, 0);

/// What a client says first: the name of the protocol, and its version.
const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";

/// More than the first frame of a broker has.
const FRAME_BYTES: u64 = 16 * 1024;

pub(super) async fn examine(urls: &AmqpUrls) -> Examination {
    let mut look = Examination::of("rabbitmq", "its version");
    let Some(address) = urls.plain_address() else {
        "its version, which is not visible over TLS".clone_into(&mut look.looked_at);
        return look;
    };
    let reading = async { Ok(read(&address).await.unwrap_or_default()) };
    let first_frame = in_time("reading the broker's version", reading).await.unwrap_or_default();
    // A broker that cannot be reached is told by whoever connects.
    let Some(version) = version(&first_frame) else {
        "its version, which it did not say".clone_into(&mut look.looked_at);
        return look;
    };
    look.looked_at = format!("version {version}");
    match release(&version) {
        Some(release) if VERSIONS.contains(&release) => {}
        Some(release) if release < VERSIONS.start => {
            look.wrong(
                format!("RabbitMQ {version} is too old"),
                "apt-get install rabbitmq-server (3.10 or later)",
            );
        }
        _ => look.note(
            format!("nobody has tried RabbitMQ {version} with this program"),
            "run `make test` against it, with AMQP_URL set",
        ),
    }
    look
}

async fn read(address: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(GREETING).await?;
    let mut frame = vec![0; 7];
    stream.read_exact(&mut frame).await?;
    let size = frame.get(3..7).and_then(|size| size.try_into().ok()).map_or(0, u32::from_be_bytes);
    stream.take(u64::from(size).min(FRAME_BYTES)).read_to_end(&mut frame).await?;
    Ok(frame)
}

/// The text under `version` in the properties of the server: a short name, the letter of a text, its length, the text.
fn version(frame: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\x07versionS";
    let at = frame.windows(KEY.len()).position(|window| window == KEY)?;
    let (size, rest) = frame.get(at.checked_add(KEY.len())?..)?.split_first_chunk::<4>()?;
    let text = rest.get(..usize::try_from(u32::from_be_bytes(*size)).ok()?)?;
    String::from_utf8(text.to_vec()).ok()
}

/// Whatever a server says, its version is a part of it, or it has none.
#[cfg(any(test, fuzzing))]
pub(in crate::broker) fn fuzz(frame: &[u8]) {
    if let Some(version) = version(frame) {
        assert!(
            version.is_empty() || frame.windows(version.len()).any(|window| window == version.as_bytes())
        );
        assert!(release(&version).is_none_or(|(major, _)| version.contains(&major.to_string())));
    }
}

/// `3.10` of `3.10.8`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_first_frame_and_what_is_none_is_none() {
        let frame = b"\x01\x00\x00\x00\x00\x00\x20\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8";
        assert_eq!(version(frame), Some("3.10.8".to_owned()));
        assert_eq!(version(&frame[..frame.len() - 1]), None);
        assert_eq!(version(b"\x07versionS\x00\x00"), None);
        assert_eq!(version(b"HTTP/1.1 400"), None);
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert!(VERSIONS.contains(&release("3.10.8").unwrap()));
        assert!(VERSIONS.contains(&release("4.1.0-rc.2").unwrap()));
        assert!(release("3.9.30").unwrap() < VERSIONS.start);
        assert_eq!(release("unknown"), None);
    }
}
