//! Runs each measured request, in an order that is always the same, and prints their names. Its argument is the folder
//! of the golden cases.
//!
//! `benches/instructions.sh` runs it under callgrind, which writes a count each time that [`measured_request`] returns.
use b24_migration_proxy_core_benches::catalogue::Catalogue;
use b24_migration_proxy_core_benches::protocol::target::RestPath;
use b24_migration_proxy_core_benches::translate::Verdict;
use b24_migration_proxy_core_benches::{Request, batch_of, golden_of, grown};
use std::hint::black_box;
use std::path::PathBuf;

/// Three sizes, each twice the one before: what grows faster than its input shows between them. Within the portal's
/// limit of 1000 parameters, behind which another rule holds.
const DOUBLED: [usize; 3] = [8 << 10, 16 << 10, 32 << 10];

fn main() {
    let catalogue = Catalogue::builtin();
    let rest = RestPath::default();
    let root = std::env::args_os()
        .nth(1)
        .expect("the folder of the golden cases");
    let mut requests = golden_of(&PathBuf::from(root));
    requests.push(Request::post(
        "forwarded unread",
        "crm.item.list",
        "application/json",
        "{}",
    ));
    requests.extend([1, 10, 50].map(batch_of));
    for kind in grown() {
        for size in DOUBLED {
            let mut request = kind.of(size);
            request.name = format!("{} @{size}", request.name);
            requests.push(request);
        }
    }
    for request in &requests {
        // Once unmeasured: what the allocator then finds in its lists hangs less on what ran before.
        black_box(request.run(black_box(&catalogue), &rest));
        black_box(measured_request(request, &catalogue, &rest));
        println!("{}", request.name);
    }
}

#[inline(never)]
fn measured_request(request: &Request, catalogue: &Catalogue, rest: &RestPath) -> Option<Verdict> {
    request.run(black_box(catalogue), rest)
}
