//! Runs each measured request, in an order that is always the same, and prints their names. Its argument is the folder
//! of the golden cases.
//!
//! `benches/instructions.sh` runs it under callgrind, which writes a count each time that [`measured_request`] returns.
use b24_migration_proxy_core_benches::catalogue::{Catalogue, Rule};
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
    requests.push(forwarded());
    requests.extend([1, 10, 50].map(batch_of));
    for kind in grown() {
        for size in DOUBLED {
            let mut request = kind.of(size);
            request.name = format!("{} @{size}", request.name);
            requests.push(request);
        }
    }
    for request in &requests {
        run(request, &catalogue, &rest);
    }
    // What a look-up costs does not hang on how many rules there are.
    for count in [16, 64, 234, 5000] {
        let many = (0..count).map(|n| Rule {
            method: format!("vendor{}.module.entity{n}.list", n % 7),
            ..Rule::default()
        });
        let shipped = catalogue.rules().iter().map(|rule| Rule::clone(rule));
        let of_size = Catalogue::new(shipped.chain(many).take(count));
        for (name, mut request) in [
            ("forwarded unread", forwarded()),
            ("batch of 50", batch_of(50)),
        ] {
            request.name = format!("{name}, {count} rules");
            run(&request, &of_size, &rest);
        }
    }
}

fn forwarded() -> Request {
    Request::post(
        "forwarded unread",
        "crm.item.list",
        "application/json",
        "{}",
    )
}

fn run(request: &Request, catalogue: &Catalogue, rest: &RestPath) {
    // Once unmeasured: what the allocator then finds in its lists hangs less on what ran before.
    black_box(request.run(black_box(catalogue), rest));
    black_box(measured_request(request, catalogue, rest));
    println!("{}", request.name);
}

#[inline(never)]
fn measured_request(request: &Request, catalogue: &Catalogue, rest: &RestPath) -> Option<Verdict> {
    request.run(black_box(catalogue), rest)
}
