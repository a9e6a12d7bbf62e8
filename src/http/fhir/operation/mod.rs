//! Operations: what has a path whose last part begins with `$`. Which there are, where, and by which methods they are
//! called, is in the table of [`crate::cdex::operation`]; here a request becomes an [`OperationCall`].
//! [`submit_attachment`] has a way of its own, because its body is not read into memory, and so has
//! [`export`], because it is answered later.

mod submit_attachment;

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::Response;

use super::error::FhirError;
use super::interaction::{Answer, answer, form, unpacked};
use super::metadata::acceptable;
use super::{DoorState, export};
use crate::auth::Caller;
use crate::cdex::operation::{Operation, OperationDefinition};
use crate::exchange::interaction::{Content, InteractionError, Requester};
use crate::exchange::operation::OperationCall;
use crate::fhir::address::parameters;
use crate::fhir::{self, OperationAddress, UnknownAddress};
use crate::http::middleware::CurrentRequest;
use crate::http::routes;

/// Does what an operation asks for.
pub(super) async fn serve(
    address: Result<OperationAddress, UnknownAddress>,
    state: DoorState,
    caller: Caller,
    current: CurrentRequest,
    request: Request,
) -> Response {
    let found = address.and_then(|address| {
        let definition = OperationDefinition::at(&address).ok_or(UnknownAddress::Interaction)?;
        Ok((definition, address))
    });
    match found {
        Err(unknown) => FhirError::from(InteractionError::from(unknown)).into_response(),
        Ok((definition, address)) if definition.operation == Operation::Export => {
            export::begin(address.place, &state, caller, &current, request).await
        }
        Ok((definition, _)) if definition.operation == Operation::SubmitAttachment => {
            submit_attachment::serve(state, caller, current, request).await
        }
        Ok((definition, address)) => {
            let form = form(&state, &request);
            let strict = form.preferences.strict;
            let outcome = operate(&state, caller.clone(), &current, (definition, address), strict, request);
            answer(&state, &caller, &form, outcome.await).await
        }
    }
}

/// Method before media types before the body: whatever can be refused is refused before anything is read.
async fn operate(
    state: &DoorState,
    caller: Caller,
    current: &CurrentRequest,
    (definition, address): (&'static OperationDefinition, OperationAddress),
    strict: bool,
    request: Request,
) -> Result<Answer, FhirError> {
    let allowed = definition.allowed();
    let method = request.method();
    if method == Method::OPTIONS {
        return Ok(Answer::Options(allowed));
    }
    if !allowed.split(", ").any(|name| name == method.as_str()) {
        return Err(FhirError::MethodNotAllowed(allowed));
    }
    acceptable(request.uri(), request.headers())?;
    let parameters = parameters(request.uri().query().unwrap_or_default());
    let content = content(state, request)?;
    let requester =
        Requester { caller, request_id: current.as_str().to_owned(), base: state.fhir_base.clone() };
    let call = OperationCall { definition, place: address.place, parameters, strict, content };
    let done = state.exchange.operate(&requester, call).await?;
    Ok(Answer::Done(Box::new(done)))
}

/// The body of a call. A POST may come without one, if the URL has all that is needed.
pub(super) fn content(state: &DoorState, request: Request) -> Result<Content, FhirError> {
    let headers = request.headers();
    let is_empty = request.body().is_end_stream() || request.body().size_hint().exact() == Some(0);
    if request.method() != Method::POST || is_empty {
        return Ok(Content::None);
    }
    unpacked(headers)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    fhir::media_type(content_type).map_err(|error| FhirError::UnsupportedMediaType(error.issue()))?;
    Ok(Content::Arriving(routes::body(request, state.limits.body_bytes)))
}
