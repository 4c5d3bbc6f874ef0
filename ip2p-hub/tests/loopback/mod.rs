//! A hub on this machine: a real HTTP server that speaks the hub's protocol, and makes the mistakes that one wants.
//!
//! Large files are redirected to another port, as the hub redirects to its CDN.

mod answers;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use self::answers::{Answer, cut_range};

/// Bytes that are sent at a time.
const CHUNK: usize = 1 << 14;

/// The files of a commit, by their paths.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A mistake, of the next so many requests whose line contains a text.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What the line of the request contains: `GET /a/b HTTP/1.1`.
    pub of: String,
    /// How many requests meet it.
    pub times: usize,
    /// What happens to them.
    pub kind: Kind,
}

/// What a mistake is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A status, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// One bit of the body is another.
    Damage,
    /// The whole file, whatever range was asked for.
    IgnoreRange,
    /// So long a rest after each chunk.
    Slow(Duration),
    /// Another body.
    Body(String),
}

/// A request that was made.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /a/b`.
    pub line: String,
    /// Whether it came to the other host.
    pub at_cdn: bool,
    /// Its `Range`.
    pub range: Option<String>,
    /// Its `Authorization`.
    pub authorization: Option<String>,
    /// Bytes of the body that were sent.
    pub sent: usize,
}

#[derive(Default)]
struct State {
    /// Commits and their files, by the model's name.
    models: BTreeMap<String, Vec<(String, Files)>>,
    /// Commits by `ORG/NAME@REVISION`.
    revisions: BTreeMap<String, String>,
    faults: Vec<Fault>,
    seen: Vec<Seen>,
    /// Whether lists of files name sums and lengths.
    brief: bool,
    /// The token without which nothing is given.
    token: Option<String>,
}

/// The server; it lives as long as the process.
pub struct Loopback {
    hub: SocketAddr,
    cdn: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Loopback {
    /// A hub without models.
    pub fn start() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, cdn) = (listen(), listen());
        let loopback = Self {
            hub: hub.local_addr().unwrap(),
            cdn: cdn.local_addr().unwrap(),
            state: Arc::default(),
        };
        for (listener, at_cdn) in [(hub, false), (cdn, true)] {
            let (state, cdn) = (Arc::clone(&loopback.state), loopback.cdn);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    // Whoever hangs up has seen enough.
                    thread::spawn(move || serve(stream, &state, at_cdn, cdn));
                }
            });
        }
        loopback
    }

    /// What `HF_ENDPOINT` is for it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    /// Adds a commit to a model; `main` is this one from now on. Its name.
    pub fn commit(&self, id: &str, files: &Files) -> String {
        let mut sum = Sha1::new();
        for (path, bytes) in files {
            sum.update(path);
            sum.update(Sha256::digest(bytes));
        }
        let commit = hexadecimal(&sum.finalize());
        let mut state = self.state.lock().unwrap();
        let commits = state.models.entry(id.to_owned()).or_default();
        commits.push((commit.clone(), files.clone()));
        drop(state);
        self.name(id, "main", &commit);
        commit
    }

    /// Gives a commit a branch's or tag's name.
    pub fn name(&self, id: &str, revision: &str, commit: &str) {
        let revisions = &mut self.state.lock().unwrap().revisions;
        revisions.insert(format!("{id}@{revision}"), commit.to_owned());
    }

    /// Makes a mistake.
    pub fn fault(&self, of: &str, times: usize, kind: Kind) {
        let of = of.to_owned();
        let faults = &mut self.state.lock().unwrap().faults;
        faults.push(Fault { of, times, kind });
    }

    /// Makes no more mistakes.
    pub fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// Lists files without their sums, as some mirrors do.
    pub fn be_brief(&self) {
        self.state.lock().unwrap().brief = true;
    }

    /// Gives nothing without this token.
    pub fn ask_for(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// The requests since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

/// The files of a folder.
pub fn files_of(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let inner = files_of(&path).into_iter();
            files.extend(inner.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            files.insert(name, std::fs::read(path).unwrap());
        }
    }
    files
}

/// Git's sum of a file, or its SHA-256 if it is a large one.
pub fn etag(path: &str, bytes: &[u8]) -> String {
    if is_large(path) {
        return hexadecimal(&Sha256::digest(bytes));
    }
    let head = format!("blob {}\0", bytes.len());
    hexadecimal(&Sha1::new_with_prefix(head).chain_update(bytes).finalize())
}

fn is_large(path: &str) -> bool {
    [".safetensors", ".bin", ".ckpt"]
        .iter()
        .any(|end| path.ends_with(end))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, at_cdn: bool, cdn: SocketAddr) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let line = lines.next()?.ok()?;
    let head: Vec<_> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let header = |name: &str| {
        let found = head.iter().filter_map(|line| line.split_once(": "));
        let mut found = found.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    };
    let (method, path) = line.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
    let range = header("range");
    let (index, fault, mut answer) = {
        let mut state = state.lock().unwrap();
        let authorization = header("authorization");
        let answer = if at_cdn {
            state.large(path)
        } else {
            state.answer(path, authorization.as_deref(), cdn)
        };
        state.seen.push(Seen {
            line: format!("{method} {path}"),
            at_cdn,
            range: range.clone(),
            authorization,
            sent: 0,
        });
        (state.seen.len() - 1, state.take_fault(&line), answer)
    };
    match &fault {
        Some(Kind::Status(status, headers)) => {
            answer = Answer::new(*status, &[], "no");
            answer.headers.clone_from(headers);
        }
        Some(Kind::Body(body)) => answer.body = body.clone().into_bytes(),
        Some(Kind::Damage) => answer.body[0] ^= 1,
        _ => {}
    }
    if !matches!(fault, Some(Kind::IgnoreRange)) && answer.status == 200 {
        cut_range(&mut answer, range.as_deref());
    }
    let length = answer.body.len();
    let mut head = vec![
        format!("HTTP/1.1 {} X", answer.status),
        format!("Content-Length: {length}"),
        "Connection: close".to_owned(),
    ];
    head.extend(
        answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    let head = head.join("\r\n") + "\r\n\r\n";
    stream.write_all(head.as_bytes()).ok()?;
    if method == "HEAD" {
        return Some(());
    }
    let end = match fault {
        Some(Kind::Cut(bytes)) => bytes.min(length),
        _ => length,
    };
    for chunk in answer.body[..end].chunks(CHUNK) {
        stream.write_all(chunk).ok()?;
        if let Some(seen) = state.lock().unwrap().seen.get_mut(index) {
            seen.sent += chunk.len();
        }
        if let Some(Kind::Slow(rest)) = fault {
            thread::sleep(rest);
        }
    }
    Some(())
}
