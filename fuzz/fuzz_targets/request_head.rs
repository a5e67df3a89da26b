//! Any bytes from a client: where the pieces end does not change what is read, and what is written for the portal reads back
//! with the same framing.
#![no_main]
use b24_migration_proxy::proxy::readers::forward::{self, BodyPlan, RequestPlan};
use b24_migration_proxy::proxy::readers::head::Limits;
use b24_migration_proxy::proxy::readers::read::read_request;
use b24_migration_proxy::proxy::readers::request_in::{RequestIn, Taken};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { head: 4096, target: 1024, fields: 16 };

/// The first request, or how it is refused; `None` where more must come.
fn first(bytes: &[u8], piece: usize) -> Option<Result<(Vec<u8>, String), String>> {
    let mut requests = RequestIn::new(LIMITS);
    let (mut input, mut rest) = (Vec::new(), bytes);
    loop {
        match requests.take(&input) {
            Taken::Refused(error) => return Some(Err(format!("{error:?}"))),
            Taken::Request { head, .. } => return Some(Ok((head.target().to_vec(), format!("{:?}", head.framing)))),
            Taken::More(used) => {
                input.drain(..used);
                if rest.is_empty() {
                    return None;
                }
                let (now, behind) = rest.split_at(piece.clamp(1, rest.len()));
                input.extend_from_slice(now);
                rest = behind;
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = first(bytes, bytes.len());
    let split = first(bytes, usize::from(*piece));
    // A head that is refused may be refused before its end has come.
    if let (Some(Ok(whole)), Some(Ok(split))) = (&whole, &split) {
        assert_eq!(whole, split);
    }
    assert_eq!(matches!(whole, Some(Ok(_))), matches!(split, Some(Ok(_))));
    let Ok(head) = read_request(bytes.to_vec().into(), &LIMITS) else { return };
    let plan = RequestPlan {
        target: None,
        host: None,
        client: None,
        scheme: "http",
        trusted: false,
        body: BodyPlan::AsItCame,
        upgrade: false,
        plain_answer: false,
        add: b"",
    };
    let mut out = Vec::new();
    forward::request(&head, &plan, &mut out);
    out.extend_from_slice(b"\r\n");
    let wide = Limits { head: usize::MAX, target: usize::MAX, fields: usize::MAX };
    let back = read_request(out.into(), &wide).expect("what is written reads back");
    assert_eq!((back.framing, back.target()), (head.framing, head.target()));
});
