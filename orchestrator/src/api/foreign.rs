//! Errors that the transport makes before a service is asked, in the contract's words: what can't be decoded, what is too
//! large, what no service knows. It looks at no message.

use http::Response;
use tonic::{Code, Status};

use super::status::Error;

/// An answer, with the transport's own errors as the contract has them.
pub(super) fn in_our_words<B>(mut response: Response<B>) -> Response<B> {
    let Some(foreign) = Status::from_header_map(response.headers()) else { return response };
    if !foreign.details().is_empty() {
        return response;
    }
    let why = foreign.message();
    let ours = match foreign.code() {
        Code::OutOfRange | Code::ResourceExhausted => Error::TooLarge,
        Code::Internal => Error::Unreadable(why.to_owned()),
        Code::Unimplemented if why.is_empty() => Error::Unimplemented("this call"),
        Code::Unimplemented => Error::Unreadable(why.to_owned()),
        _ => return response,
    };
    // The headers say more than the status, such as which compression is understood: they stay.
    if let Err(error) = Status::from(ours).add_header(response.headers_mut()) {
        tracing::warn!(%error, "An error could not be said in the contract's words");
    }
    response
}
