//! The HTTP port: `/metrics`, `/healthz`, `/readyz`.
//!
//! Where `http-token` is set, all but the two that orchestrators ask want it, as `Authorization: Bearer TOKEN` or as
//! the password of HTTP's basic authentication.
//!
//! HTTP parsing is hyper's: it is the parser that tokio's own ecosystem keeps and fuzzes, and with only its http1 and
//! server parts it adds a handful of small crates. A hand-written parser would have to be as careful with bytes from
//! outside for no gain.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// What the HTTP port asks of its node.
pub trait Probe: Send + Sync + 'static {
    /// All metrics in Prometheus's text format.
    fn metrics(&self) -> String;

    /// Whether the node is fully a member, or why it is not.
    fn ready(&self) -> Result<(), String>;

    /// What a request has to bring along to see more than whether the node lives and is ready; empty: nothing.
    fn token(&self) -> String;
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// MIME type.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

/// Scrapers and orchestrators need a few connections; what comes when there are so many is closed.
const CONNECTIONS_MAX: usize = 256;
/// The same for one address, so that nobody takes all places: an orchestrator must get through.
const CONNECTIONS_OF_ADDRESS_MAX: usize = 64;
/// A request must have arrived whole within this time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection ends after this time, for whom does not read holds its place.
const LIFETIME: Duration = Duration::from_secs(60);

/// Answers requests on `listener` until the future is dropped.
pub async fn serve_http(listener: TcpListener, probe: Arc<dyn Probe>) {
    let places = Places::default();
    loop {
        let (stream, place) = match listener.accept().await {
            Ok((stream, address)) => match places.take(address.ip()) {
                Some(place) => (stream, place),
                None => continue,
            },
            Err(error) => {
                // Out of descriptors, most likely: the next try would fail at once as well.
                tracing::warn!(%error, "accept on the HTTP port failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let probe = Arc::clone(&probe);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let page = page(request.method(), request.uri().path(), request.headers(), &*probe);
                async move { Ok::<_, Infallible>(response(page)) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(16 * 1024);
            let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = tokio::time::sleep(LIFETIME) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::time::timeout(HEADER_TIMEOUT, connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "HTTP connection ended");
            }
            drop(place);
        });
    }
}

/// Who holds connections, by address.
#[derive(Default, Clone)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection's place, free again when dropped.
struct Place(Places, IpAddr);

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock();
        let of_address = taken.get(&address).copied().unwrap_or(0);
        if of_address == CONNECTIONS_OF_ADDRESS_MAX || taken.values().sum::<usize>() == CONNECTIONS_MAX {
            return None;
        }
        taken.insert(address, of_address + 1);
        Some(Place(self.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.0.lock();
        if let Some(count) = taken.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.1);
            }
        }
    }
}

/// Whether a request may see what `token` guards.
fn admits(token: &str, headers: &HeaderMap) -> bool {
    if token.is_empty() {
        return true;
    }
    let Some(given) = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) else { return false };
    let Some(space) = given.iter().position(|byte| *byte == b' ') else { return false };
    let (scheme, given) = (&given[..space], given[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return same(given, token.as_bytes());
    }
    scheme.eq_ignore_ascii_case(b"Basic")
        && base64(given).is_some_and(|pair| {
            let password = pair.iter().position(|byte| *byte == b':').map_or(&[][..], |at| &pair[at + 1..]);
            same(password, token.as_bytes())
        })
}

/// Compares in a time that does not tell where the two differ.
fn same(given: &[u8], token: &[u8]) -> bool {
    let differences = (0..token.len()).fold(0, |all, at| all | (given.get(at).copied().unwrap_or(0) ^ token[at]));
    differences == 0 && given.len() == token.len()
}

/// Decodes base 64 (RFC 4648), padded or not.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.iter().rposition(|byte| *byte != b'=').map_or(&[][..], |last| &text[..=last]);
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::with_capacity(digits.len() * 3 / 4));
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

fn page(method: &Method, path: &str, headers: &HeaderMap, probe: &dyn Probe) -> Page {
    const TEXT: &str = "text/plain; charset=utf-8";
    let text = |status, body: String| Page { status, content_type: TEXT, body };
    if !matches!(*method, Method::GET | Method::HEAD) {
        return text(405, "only GET and HEAD\n".into());
    }
    if !matches!(path, "/healthz" | "/readyz") && !admits(&probe.token(), headers) {
        return text(401, "this page wants the http-token\n".into());
    }
    match path {
        "/metrics" => {
            Page { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body: probe.metrics() }
        }
        "/healthz" => text(200, "ok\n".into()),
        "/readyz" => match probe.ready() {
            Ok(()) => text(200, "ready\n".into()),
            Err(reason) => text(503, format!("{reason}\n")),
        },
        _ => text(404, "try /metrics, /healthz or /readyz\n".into()),
    }
}

fn response(page: Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(page.content_type);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, content_type);
    if page.status == 401 {
        let challenge = HeaderValue::from_static("Basic realm=\"larder\", Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Unready;

    impl Probe for Unready {
        fn metrics(&self) -> String {
            "larder_up 1\n".into()
        }

        fn ready(&self) -> Result<(), String> {
            Err("partition 3 is catching up".into())
        }

        fn token(&self) -> String {
            String::new()
        }
    }

    /// The same behind a token.
    struct Guarded;

    impl Probe for Guarded {
        fn metrics(&self) -> String {
            Unready.metrics()
        }

        fn ready(&self) -> Result<(), String> {
            Unready.ready()
        }

        fn token(&self) -> String {
            "open sesame".into()
        }
    }

    async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn a_token_guards_all_but_what_orchestrators_ask() {
        let get = |path, authorization: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = authorization {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            }
            page(&Method::GET, path, &headers, &Guarded).status
        };
        assert_eq!((get("/healthz", None), get("/readyz", None)), (200, 503));
        assert_eq!((get("/metrics", None), get("/", None)), (401, 401));
        for right in
            ["Bearer open sesame", "bearer  open sesame", "Basic eDpvcGVuIHNlc2FtZQ==", "basic Om9wZW4gc2VzYW1l"]
        {
            assert_eq!(get("/metrics", Some(right)), 200, "{right}");
        }
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer open",
            "Bearer open sesame!",
            "open sesame",
            "Basic",
            "Basic eDpvcGVu",
            "Basic ====",
            "Basic \u{e9}",
            "Basic b3BlbiBzZXNhbWU=",
            "Digest open sesame",
        ] {
            assert_eq!(get("/metrics", Some(wrong)), 401, "{wrong}");
        }
    }

    #[tokio::test]
    async fn garbage_and_what_never_ends_do_no_harm() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve_http(listener, Arc::new(Guarded)));
        let huge = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(100_000));
        let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
        for garbage in
            [&b"\0\xff\r\n\r\n"[..], b"*1\r\n$4\r\nPING\r\n\r\n", b"GET\r\n\r\n", huge.as_bytes(), many.as_bytes()]
        {
            let answer = exchange(address, garbage).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
        // The body is not waited for.
        let endless = b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999999999\r\n\r\nabc";
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(endless).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 405");
        // One address does not take all places, and gives back what it had.
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_OF_ADDRESS_MAX * 2 {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(b"GET /heal").await;
            held.push(stream);
        }
        drop((held, stream));
        while !exchange(address, b"GET /healthz HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200") {}
        server.abort();
    }

    #[test]
    fn places_are_counted_by_address() {
        let places = Places::default();
        let address = |last| IpAddr::from([10, 0, 0, last]);
        let mut held: Vec<_> =
            (0..CONNECTIONS_OF_ADDRESS_MAX).map(|_| places.take(address(1)).expect("a place")).collect();
        assert!(places.take(address(1)).is_none());
        held.extend(
            (2..5)
                .flat_map(|last| (0..CONNECTIONS_OF_ADDRESS_MAX).map(move |_| last))
                .map(|last| places.take(address(last)).expect("a place")),
        );
        assert!(places.take(address(9)).is_none(), "all are taken");
        drop(held);
        assert!(places.0.lock().is_empty() && places.take(address(9)).is_some());
    }

    #[test]
    fn pages_say_how_the_node_is() {
        let get = |path| page(&Method::GET, path, &HeaderMap::new(), &Unready);
        assert_eq!(get("/healthz").status, 200);
        assert_eq!((get("/readyz").status, get("/readyz").body.as_str()), (503, "partition 3 is catching up\n"));
        assert_eq!(get("/other").status, 404);
        assert_eq!(page(&Method::POST, "/metrics", &HeaderMap::new(), &Unready).status, 405);
    }

    #[tokio::test]
    async fn requests_are_answered_over_a_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve_http(listener, Arc::new(Unready)));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("larder_up 1\n"), "{answer}");
        server.abort();
    }
}
