//! The HTTP port: `/metrics`, `/healthz`, `/readyz`.
//!
//! HTTP parsing is hyper's: it is the parser that tokio's own ecosystem keeps and fuzzes, and with only its http1 and
//! server parts it adds a handful of small crates. A hand-written parser would have to be as careful with bytes from
//! outside for no gain.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What the HTTP port asks of its node.
pub trait Probe: Send + Sync + 'static {
    /// All metrics in Prometheus's text format.
    fn metrics(&self) -> String;

    /// Whether the node is fully a member, or why it is not.
    fn ready(&self) -> Result<(), String>;
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

/// Scrapers and orchestrators need a few connections; more are made to wait, so that no one fills the node with them.
const CONNECTIONS_MAX: usize = 64;
/// A request must have arrived whole within this time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers requests on `listener` until the future is dropped.
pub async fn serve_http(listener: TcpListener, probe: Arc<dyn Probe>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
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
                let page = page(request.method(), request.uri().path(), &*probe);
                async move { Ok::<_, Infallible>(response(page)) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(16 * 1024);
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "HTTP connection ended");
            }
            drop(place);
        });
    }
}

fn page(method: &Method, path: &str, probe: &dyn Probe) -> Page {
    const TEXT: &str = "text/plain; charset=utf-8";
    let text = |status, body: String| Page { status, content_type: TEXT, body };
    if !matches!(*method, Method::GET | Method::HEAD) {
        return text(405, "only GET and HEAD\n".into());
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
    let content_type = hyper::header::HeaderValue::from_static(page.content_type);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, content_type);
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
    }

    #[test]
    fn pages_say_how_the_node_is() {
        let get = |path| page(&Method::GET, path, &Unready);
        assert_eq!(get("/healthz").status, 200);
        assert_eq!((get("/readyz").status, get("/readyz").body.as_str()), (503, "partition 3 is catching up\n"));
        assert_eq!(get("/other").status, 404);
        assert_eq!(page(&Method::POST, "/metrics", &Unready).status, 405);
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
