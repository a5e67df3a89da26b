//! What a failed exchange with the portal is to the client (pure).

use crate::proxy::error::{Failure, Kind};
use crate::proxy::net::fault::Fault;

/// The connection broke, and nothing of the call was sent: on one that was closed before, and on another.
pub fn unsent() -> Failure {
    Failure::new(
        Kind::ClosedUnsent,
        "it closed the connection before the call was sent",
    )
}

/// A new connection that cannot be used.
pub fn unusable() -> Failure {
    Failure::new(Kind::ClosedUnsent, "the connection could not be used")
}

/// The call was sent and no answer came in time.
pub fn no_answer() -> Failure {
    Failure::new(Kind::NoAnswer, "the portal did not answer in time")
}

/// The call was sent and its answer breaks HTTP.
pub fn bad_answer() -> Failure {
    Failure::new(Kind::BadAnswer, "the portal's answer cannot be read")
}

/// The call was sent and its answer broke off.
pub fn incomplete_answer() -> Failure {
    Failure::new(Kind::IncompleteAnswer, "the portal's answer broke off")
}

/// The call was sent, and its connection has this fault.
pub fn sent_and_failed(fault: Fault) -> Failure {
    match fault {
        Fault::ReadTimeout | Fault::WriteTimeout => no_answer(),
        Fault::BadHead(_) | Fault::UnaskedUpgrade | Fault::BadChunk(_) => bad_answer(),
        Fault::Closed | Fault::Broken(_) => Failure::new(
            Kind::ClosedUnanswered,
            "the portal closed the connection without an answer",
        ),
    }
}
