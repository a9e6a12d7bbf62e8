//! The REST API: a request becomes a [`Call`], and what came of it an answer. Method before media types before the
//! body: whatever can be refused is refused before anything is read.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::error::FhirError;
use super::metadata::acceptable;
use super::prefer::Preferences;
use super::respond::Form;
use super::{DoorState, binary, metadata, operation};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::exchange::interaction::{BinaryHeader, Call, Content, Done, InteractionError, Method, Requester};
use crate::exchange::precondition::{Conditions, Tags};
use crate::exchange::store_resource::PatchFormat;
use crate::fhir::address::parameters;
use crate::fhir::{self, Address, Issue, IssueType, MediaTypeError, OperationAddress, UnknownAddress};
use crate::http::body;
use crate::http::extract::Authenticated;
use crate::http::middleware::CurrentRequest;
use crate::http::routes;

/// The longest search form.
const FORM_LIMIT: u64 = 1 << 20;

/// The media type of a search form.
const FORM: &str = "application/x-www-form-urlencoded";

/// Serves whatever has a path below the base.
pub(super) async fn serve(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    Extension(current): Extension<CurrentRequest>,
    request: Request,
) -> Response {
    // The router has taken the base off, but where nothing else was there.
    let path = request.uri().path();
    let path = if path == "/fhir/" { String::new() } else { path.to_owned() };
    if let Some(address) = OperationAddress::parse(&path) {
        return operation::serve(address, state, caller, current, request).await;
    }
    let form = form(&state, &request);
    let strict = form.preferences.strict;
    let outcome = interact(&state, caller.clone(), &current, &path, strict, request).await;
    answer(&state, &caller, &form, outcome).await
}

/// What is to be answered.
pub(super) enum Answer {
    /// The methods that there are.
    Options(&'static str),
    /// A Binary, as bytes or as a resource, or the CapabilityStatement.
    Written(Box<Response>),
    /// What was done.
    Done(Box<Done>),
}

/// The form in which a request wants its answer.
pub(super) fn form(state: &DoorState, request: &Request) -> Form {
    Form {
        base: state.fhir_base.clone(),
        preferences: Preferences::of(request.headers()),
        pretty: is_pretty(request.uri()),
        now: state.exchange.clock.now(),
    }
}

/// The answer to a request. A page is signed if that is agreed with the caller, after all else was done to it.
pub(super) async fn answer(
    state: &DoorState,
    caller: &Caller,
    form: &Form,
    outcome: Result<Answer, FhirError>,
) -> Response {
    match outcome {
        Ok(Answer::Done(done)) if state.exchange.signs(caller, &done) => {
            let page = form.page(&done).unwrap_or_default();
            match state.exchange.sign_answer(caller, page).await {
                Ok(signed) => form.text(StatusCode::OK, signed),
                Err(error) => FhirError::from(error).into_response(),
            }
        }
        Ok(Answer::Written(response)) => *response,
        Ok(Answer::Options(allowed)) => (StatusCode::NO_CONTENT, [(header::ALLOW, allowed)]).into_response(),
        Ok(Answer::Done(done)) => form.answer(*done),
        Err(error) => error.into_response(),
    }
}

async fn interact(
    state: &DoorState,
    caller: Caller,
    current: &CurrentRequest,
    path: &str,
    strict: bool,
    request: Request,
) -> Result<Answer, FhirError> {
    let address = Address::parse(path).map_err(|error| unknown(error, request.method()))?;
    let allowed = Method::allowed(&address);
    if request.method() == HttpMethod::OPTIONS {
        if address == Address::System {
            let mut response = metadata::answer(state, request).await?;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            return Ok(Answer::Written(Box::new(response)));
        }
        return Ok(Answer::Options(allowed));
    }
    let method = Method::from_name(request.method().as_str()).filter(|method| method.is_allowed(&address));
    let method = method.ok_or(FhirError::MethodNotAllowed(allowed))?;
    let requester =
        Requester { caller, request_id: current.as_str().to_owned(), base: state.fhir_base.clone() };
    let is_binary = is_binary(method, &address);
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let call = match call(state, method, address.clone(), strict, request).await {
        Ok(call) => call,
        Err(error) => {
            // What the use case refused it has audited itself; the rest did not come that far.
            if let Some(reason) = error.refused_at_the_door() {
                let audited = state.exchange.audit_refused_call(&requester, (method, &address), reason);
                audited.await.map_err(InteractionError::from)?;
            }
            return Err(error);
        }
    };
    match state.exchange.interact(&requester, call).await? {
        Done::Read(resource, _) if is_binary => {
            let response = binary::answer(&state.exchange, &requester, resource, &uri, &headers).await?;
            Ok(Answer::Written(Box::new(response)))
        }
        done => Ok(Answer::Done(Box::new(done))),
    }
}

/// The request as the use case takes it, its body still to come.
async fn call(
    state: &DoorState,
    method: Method,
    address: Address,
    strict: bool,
    request: Request,
) -> Result<Call, FhirError> {
    // A Binary has a media type of its own.
    if !is_binary(method, &address) {
        acceptable(request.uri(), request.headers())?;
    }
    let conditions = conditions(request.headers())?;
    let mut parameters = parameters(request.uri().query().unwrap_or_default());
    let content = content(state, method, &address, &mut parameters, request).await?;
    Ok(Call { method, address, parameters, conditions, strict, content })
}

/// Whether the answer may be the bytes of a Binary.
fn is_binary(method: Method, address: &Address) -> bool {
    method == Method::Get
        && matches!(address, Address::Instance("Binary", _) | Address::Version("Binary", ..))
}

/// An update under an id of another form is a mistake of the request; nothing else can be there.
fn unknown(error: UnknownAddress, method: &HttpMethod) -> FhirError {
    match error {
        UnknownAddress::Id if method == HttpMethod::PUT || method == HttpMethod::PATCH => {
            let text = "An id has 1 to 64 of the characters A-Z a-z 0-9 - .";
            InteractionError::Malformed(vec![Issue::refusal(IssueType::Value, text)]).into()
        }
        error => InteractionError::from(error).into(),
    }
}

/// What comes in the body. A search form is read here, and its fields become parameters.
async fn content(
    state: &DoorState,
    method: Method,
    address: &Address,
    given: &mut Vec<(String, String)>,
    request: Request,
) -> Result<Content, FhirError> {
    if matches!(method, Method::Get | Method::Delete) {
        return Ok(Content::None);
    }
    let headers = request.headers();
    unpacked(headers)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let limit = state.limits.body_bytes;
    match address {
        Address::SystemSearch | Address::TypeSearch(_) | Address::CompartmentSearch(..) => {
            let is_form = content_type.is_some_and(|kind| {
                kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM)
            });
            let form = match (is_form, content_type) {
                (true, _) => {
                    body::collect(request.into_body(), FORM_LIMIT).await.map_err(routes::body_error)?
                }
                // Without a body there is nothing to say of what type it is.
                (false, None) => bytes::Bytes::new(),
                (false, Some(_)) => {
                    let text = "A search takes a form";
                    let issue = Issue::refusal(IssueType::NotSupported, text);
                    let issue = issue.advising("Send application/x-www-form-urlencoded");
                    return Err(FhirError::UnsupportedMediaType(issue));
                }
            };
            given.extend(parameters(&String::from_utf8_lossy(&form)));
            Ok(Content::None)
        }
        _ if method == Method::Patch => {
            let format = PatchFormat::of(content_type);
            let format = format.map_err(|error| FhirError::UnsupportedMediaType(error.issue()))?;
            Ok(Content::ArrivingPatch(format, routes::body(request, limit)))
        }
        // FHIR R4 binary: whatever is not FHIR is the content itself.
        Address::Type("Binary") | Address::Instance("Binary", _)
            if content_type.is_some() && fhir::media_type(content_type) == Err(MediaTypeError::NotJson) =>
        {
            let id = match address {
                Address::Instance(_, id) => Some(id.clone()),
                _ => None,
            };
            let context = headers.get(binary::SECURITY_CONTEXT).and_then(|value| value.to_str().ok());
            let header = BinaryHeader {
                content_type: content_type.unwrap_or_default().to_owned(),
                security_context: context.map(str::to_owned),
                id,
            };
            Ok(Content::Bytes(header, routes::body(request, state.limits.payload_bytes)))
        }
        _ => {
            let checked = fhir::media_type(content_type);
            checked.map_err(|error| FhirError::UnsupportedMediaType(error.issue()))?;
            Ok(Content::Arriving(routes::body(request, limit)))
        }
    }
}

/// That a body is not packed: it would have to be unpacked to be measured, and nobody is promised that (J-09).
pub(super) fn unpacked(headers: &HeaderMap) -> Result<(), FhirError> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity") {
        return Ok(());
    }
    let text = "Bodies with a Content-Encoding are not read";
    Err(FhirError::UnsupportedMediaType(Issue::refusal(IssueType::NotSupported, text)))
}

/// The header fields that are conditions.
fn conditions(headers: &HeaderMap) -> Result<Conditions, FhirError> {
    let tags = |name: HeaderName, problem| -> Result<Option<Tags>, FhirError> {
        let Some(list) = joined(headers, &name) else { return Ok(None) };
        Tags::parse(&list).map(Some).map_err(|_| FhirError::BadHeader(problem))
    };
    let text = |name: HeaderName| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Ok(Conditions {
        if_match: tags(header::IF_MATCH, "If-Match is no list of entity tags")?,
        if_none_match: tags(header::IF_NONE_MATCH, "If-None-Match is no list of entity tags")?,
        // RFC 9110, 13.1.3: one that cannot be read is ignored.
        if_modified_since: text(header::IF_MODIFIED_SINCE).and_then(Timestamp::parse_http_date),
        if_none_exist: text(HeaderName::from_static("if-none-exist"))
            .map(|criteria| criteria.split_once('?').map_or(criteria, |(_, criteria)| criteria).to_owned()),
    })
}

/// All fields of a name as one list (RFC 9110, 5.3).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> =
        headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn is_pretty(uri: &Uri) -> bool {
    let parameters = parameters(uri.query().unwrap_or_default());
    parameters.iter().any(|(name, value)| name == "_pretty" && value != "false")
}
