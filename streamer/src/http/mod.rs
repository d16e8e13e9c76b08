//! HTTP: the API, WHEP, the pages; what a request must look like and what an answer carries.
//!
//! Knows sessions, the library and the WebRTC server by their public functions. docs/viewer-protocol.md is its contract.

mod api;
mod authenticate;
mod body;
mod guard;
mod limits;
mod origin;
mod pages;
pub mod serve;
mod whep;

pub(crate) use api::fuzz_head as fuzz_upload_head;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, FromRequestParts, MatchedPath, Path, Request, State},
    http::{HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post},
};
use renderer_protocol::FrameSize;
use tokio::sync::Semaphore;
use tower_http::{
    cors::{AllowOrigin, CorsLayer},
    set_header::SetResponseHeaderLayer,
};

use crate::{
    auth::{Access, Action, Principal},
    config::{AllowedOrigins, RateConfig},
    error::{Code, Problem},
    library::Library,
    metrics::Metrics,
    rtc::RtcServer,
    session::{Session, SessionId, Sessions, unknown_session},
};
pub use guard::AllowedHosts;
use limits::Limits;

/// What requests are answered with.
#[derive(Clone)]
pub struct App {
    /// All sessions.
    pub sessions: Arc<Sessions>,
    /// All scenes.
    pub library: Arc<Library>,
    /// All connections.
    pub rtc: Arc<RtcServer>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// All counters.
    pub metrics: Arc<Metrics>,
    /// What sessions get.
    pub offer: Offer,
    /// Places for peers that are connecting.
    pub pending_offers: PendingOffers,
}

macro_rules! give_handlers {
    ($($field:ident: $part:ty),* $(,)?) => {$(
        impl FromRef<App> for $part {
            fn from_ref(app: &App) -> Self {
                app.$field.clone()
            }
        }
    )*};
}

give_handlers! {
    sessions: Arc<Sessions>,
    library: Arc<Library>,
    rtc: Arc<RtcServer>,
    access: Arc<Access>,
    metrics: Arc<Metrics>,
    offer: Offer,
    pending_offers: PendingOffers,
}

/// What a new session gets.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The largest picture.
    pub max_size: FrameSize,
    /// The most ticks a second, and what a session gets when it does not ask.
    pub frame_rate_hz: u32,
}

/// Places for peers that are connecting, in all sessions. Each holds the state of ICE and DTLS for somebody who has not proved an
/// address yet.
#[derive(Clone)]
pub struct PendingOffers(pub Arc<Semaphore>);

impl PendingOffers {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }
}

/// Headers of every answer. The pages load nothing from elsewhere, are in nobody's frame, and do not tell others their
/// address, which is what gives access to a session.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
         connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    ),
];

/// From whom requests are taken.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The origins of other pages.
    pub origins: AllowedOrigins,
    /// The names of this server.
    pub hosts: AllowedHosts,
    /// How often.
    pub rates: RateConfig,
}

/// All routes.
pub fn router(app: App, admission: Admission) -> Router {
    let Admission { origins, hosts, rates } = admission;
    let metrics = Arc::clone(&app.metrics);
    // Inside of CORS, so that a player elsewhere can read why it is refused; the first one that a request meets is the last one here.
    let limits = Arc::new(Limits::new(&rates, app.access.is_open()));
    let guarded = |router: Router<App>| {
        router
            .layer(middleware::from_fn_with_state(Arc::clone(&app.access), authenticate::authenticate))
            .layer(middleware::from_fn_with_state(origins.clone(), origin::check_origin))
            .layer(middleware::from_fn_with_state(Arc::clone(&limits), limits::limit))
    };
    let endpoint =
        guarded(Router::new().route("/whep/{session}", post(whep::join).options(whep::describe_endpoint)));
    let resource = guarded(Router::new().route(
        "/whep/{session}/{viewer}",
        delete(whep::leave).patch(whep::trickle).options(whep::describe_resource),
    ));
    let whep = match cors(&origins) {
        // The layer answers every OPTIONS itself, so what the handlers would have said is added to its answer.
        Some(cors) => endpoint
            .layer(cors.clone())
            .layer(SetResponseHeaderLayer::if_not_present(
                whep::ACCEPT_POST,
                HeaderValue::from_static(whep::SDP),
            ))
            .merge(resource.layer(cors).layer(SetResponseHeaderLayer::if_not_present(
                whep::ACCEPT_PATCH,
                HeaderValue::from_static(whep::SDP_FRAGMENT),
            )))
            // A response to another origin must be readable there, which the header for the rest forbids.
            .layer(SetResponseHeaderLayer::overriding(
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static("cross-origin"),
            )),
        None => endpoint.merge(resource),
    };
    let api =
        api::routes().into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
    let unguarded = Router::new()
        .route("/", get(pages::gallery))
        .route("/view/{scene}", get(pages::view))
        .route("/view/{scene}/{session}", get(pages::view))
        .route("/static/{*path}", get(pages::asset))
        .merge(api);
    let router = guarded(unguarded)
        .merge(whep)
        .fallback(|| async { Problem::new(Code::NotFound, "The gallery is at /, the API below /api/.") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "The header `Allow` lists the methods that it has.")
        })
        .with_state(app)
        .layer(middleware::from_fn_with_state(hosts, guard::check_host))
        .layer(middleware::from_fn_with_state(metrics, count));
    SECURITY_HEADERS.into_iter().fold(router, |router, (name, value)| {
        router.layer(SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value)))
    })
}

/// Pages of other origins may use WHEP only where the operator allows it.
fn cors(origins: &AllowedOrigins) -> Option<CorsLayer> {
    let allowed = match origins {
        AllowedOrigins::None => return None,
        AllowedOrigins::Any => AllowOrigin::any(),
        AllowedOrigins::List(origins) => AllowOrigin::list(origins.iter().cloned()),
    };
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS])
            .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION, header::IF_MATCH])
            .expose_headers([header::LOCATION, header::LINK, whep::ACCEPT_PATCH, whep::ACCEPT_POST]),
    )
}

async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let status = response.status().as_u16();
    if let Some(code) = response.extensions().get::<Code>() {
        metrics.refused(*code);
    }
    tracing::debug!(%method, route, status, "request");
    metrics.http_request(&method, route, status);
    response
}

/// The variable parts of a path. A part that is not UTF-8 names nothing that there is: it is taken as the empty name, so that
/// it is answered like every other unknown name of its kind.
struct Names<T>(T);

impl<S, T> FromRequestParts<S> for Names<T>
where
    S: Send + Sync,
    T: serde::de::DeserializeOwned + Default + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(rejection) if rejection.status().is_client_error() => Ok(Self(T::default())),
            Err(rejection) => Err(Problem::internal("Reading the path", &rejection)),
        }
    }
}

/// The session that a path names, for somebody who may do that with it. Whoever may not, and need not know that it exists, is answered
/// as if it did not.
fn find_session(
    sessions: &Sessions,
    principal: &Principal,
    id: &str,
    action: fn(SessionId) -> Action,
) -> Result<Arc<Session>, Problem> {
    let id: SessionId = id.parse().map_err(|_| unknown_session())?;
    principal.require(action(id))?;
    sessions.get(id)
}
