//! Which host names the server answers to.
//!
//! A server on the loopback interface trusts whoever reaches it, and a page of a stranger can reach it by giving its own name the
//! address 127.0.0.1 ("DNS rebinding"): such a request carries that name as `Host`. So there, only names of the machine itself
//! are answered, and those that the operator adds.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    auth::is_loopback,
    error::{Code, Problem},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct AllowedHosts(Option<Arc<[String]>>);

impl AllowedHosts {
    /// For a server that listens there. Only on loopback anything is checked: elsewhere the name is somebody's choice, and being
    /// reachable is what the operator wants.
    pub fn new(listen: SocketAddr, added: &[String]) -> Self {
        Self(is_loopback(listen.ip()).then(|| added.iter().map(|name| name.to_ascii_lowercase()).collect()))
    }

    fn allows(&self, authority: Option<&Authority>) -> bool {
        let Some(added) = &self.0 else { return true };
        // HTTP/1.0 knows no host; no browser speaks it.
        let Some(authority) = authority else { return true };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_own_address = host.parse::<IpAddr>().is_ok_and(is_loopback);
        is_own_address || host == "localhost" || host.ends_with(".localhost") || added.contains(&host)
    }
}

/// Refuses requests for other hosts.
pub(super) async fn check_host(State(hosts): State<AllowedHosts>, request: Request, next: Next) -> Response {
    let host =
        request.headers().get(header::HOST).map(|value| value.to_str().unwrap_or("").parse::<Authority>());
    let allowed = match (&host, request.uri()) {
        (Some(Ok(authority)), _) => hosts.allows(Some(authority)),
        (Some(Err(_)), _) => hosts.0.is_none(),
        (None, uri) => hosts.allows(Uri::authority(uri)),
    };
    if allowed {
        return next.run(request).await;
    }
    let detail = "The server listens on the loopback interface and answers to names of this machine only; allow others with \
                  --allow-host.";
    Problem::new(Code::ForeignHost, detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(listen: &str, added: &[&str], host: &str) -> bool {
        let added: Vec<String> = added.iter().map(|name| (*name).to_owned()).collect();
        AllowedHosts::new(listen.parse().unwrap(), &added).allows(Some(&host.parse().unwrap()))
    }

    #[test]
    fn a_server_on_loopback_answers_to_the_machines_own_names() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.3.2.1", "app.localhost"]
        {
            assert!(allows("127.0.0.1:8080", &[], host), "{host}");
        }
        for host in
            ["example.com", "127.0.0.1.example.com", "localhost.example.com", "192.168.0.1", "0.0.0.0"]
        {
            assert!(!allows("127.0.0.1:8080", &[], host), "{host}");
        }
    }

    #[test]
    fn a_server_on_loopback_is_one_however_its_address_is_written() {
        assert!(!allows("[::ffff:127.0.0.1]:8080", &[], "example.com"));
        assert!(allows("[::ffff:127.0.0.1]:8080", &[], "127.0.0.1:8080"));
        assert!(allows("[::ffff:127.0.0.1]:8080", &[], "[::ffff:127.0.0.1]:8080"));
    }

    #[test]
    fn an_added_name_is_answered() {
        assert!(allows("127.0.0.1:8080", &["Scenes.example.com"], "scenes.example.com:443"));
    }

    #[test]
    fn a_server_on_the_network_answers_to_any_name() {
        assert!(allows("0.0.0.0:8080", &[], "example.com"));
    }
}
