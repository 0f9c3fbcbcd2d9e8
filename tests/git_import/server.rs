//! A web server on this machine: `git http-backend`, or one answer to whatever is asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::world::git_program;

/// How a server answers.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    /// With the repositories below a directory; if there is one, to those who know the secret alone.
    Repositories { root: PathBuf, authorization: Option<&'static str> },
    /// With this, always.
    Always(String),
}

/// A running server. It ends with the test's process.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// What the command lines of this machine's processes were, while requests were served.
    pub(crate) commands: Arc<Mutex<Vec<String>>>,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    pub(crate) fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let commands = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&commands);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                seen.lock().unwrap().extend(running_commands());
                // A client that goes away is no concern of ours.
                let _ = serve(stream, &answers);
            }
        });
        Self { port, commands }
    }

    /// A server that always says this.
    pub(crate) fn saying(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n");
        Self::start(Answers::Always(format!("{head}{headers}\r\n{body}")))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

fn running_commands() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok()).collect()
}

fn serve(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let request = read_request(&stream)?;
    let answer = match answers {
        Answers::Always(answer) => answer.clone().into_bytes(),
        Answers::Repositories { root, authorization } => {
            let given = request.headers.get("authorization").map(String::as_str);
            if authorization.is_some() && given != *authorization {
                let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n";
                format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
            } else {
                backend(&request, root)?
            }
        }
    };
    stream.write_all(&answer)
}

fn read_request(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, headers, body })
}

/// Runs `git http-backend` as a web server does.
fn backend(request: &Request, root: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let mut child = Command::new(git_program())
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().unwrap().write_all(&request.body)?;
    let output = child.wait_with_output()?.stdout;
    let text = String::from_utf8_lossy(&output);
    let status = text.strip_prefix("Status: ").and_then(|text| text.lines().next()).unwrap_or("200 OK");
    let head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", status.trim_end());
    Ok([head.into_bytes(), output].concat())
}
