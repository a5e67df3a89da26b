//! A request's address as the portal reads it, from the address that `urlrewrite.php` makes and with the method that a
//! parameter names (PROTOCOL §1).
use super::target::{self, Place, RestPath};
use super::unnamed;
use super::urlrewrite::Made;

/// An address as the portal reads it.
#[derive(Clone, Debug)]
pub struct Address<'t> {
    /// The target in origin-form: the request's own, or what `urlrewrite.php` makes of it.
    pub target: &'t [u8],
    /// What it is.
    pub place: Place<'t>,
    /// `urlrewrite.php` has made it, so that the bytes that came are others.
    pub is_made: bool,
    /// It may be another one that concerns us, too: which of them counts, nobody knows.
    pub is_twofold: bool,
}

impl<'t> Address<'t> {
    /// The address of a request that came to `target`, as `place_of` reads it and what is made of it.
    ///
    /// Whether `urlrewrite.php` is asked hangs on the portal's server, so that an address that `concerns` us counts before
    /// one that does not. The script behind the REST path is there itself, and nothing is put in its place.
    pub fn of(
        target: &'t [u8],
        made: Option<&'t Made>,
        place_of: impl Fn(&'t [u8]) -> Place<'t>,
        concerns: impl Fn(&Place<'t>) -> bool,
    ) -> Self {
        let own = Self::of_one(target, &place_of, &concerns);
        let made = made
            .filter(|_| !target::is_script(target))
            .map(|made| Self::of_one(&made.target, &place_of, &concerns));
        match made.filter(|made| concerns(&made.place)) {
            Some(made) => Self {
                is_made: true,
                is_twofold: made.is_twofold || concerns(&own.place),
                ..made
            },
            None => own,
        }
    }

    /// A target's own address. A line feed behind a last slash ends a template, or is a segment: parameters name the
    /// method then.
    fn of_one(
        target: &'t [u8],
        place_of: impl Fn(&'t [u8]) -> Place<'t>,
        concerns: impl Fn(&Place<'t>) -> bool,
    ) -> Self {
        let place = place_of(target);
        let before = target::before_line_feed(target).map(place_of);
        let (place, is_twofold) = match before {
            Some(before) if concerns(&before) => (before, concerns(&place)),
            _ => (place, false),
        };
        Self {
            target,
            place,
            is_made: false,
            is_twofold,
        }
    }

    /// The address of a request that is at hand whole. `made` is what [`super::urlrewrite::made`] gives for its target.
    pub fn of_whole(
        verb: &[u8],
        target: &'t [u8],
        made: Option<&'t Made>,
        content_type: Option<&[u8]>,
        body: &[u8],
        rest: &RestPath,
    ) -> Self {
        let is_call = |place: &Place<'t>| matches!(place, Place::Call { .. } | Place::Unnamed);
        let address = Self::of(target, made, |target| target::place(target, rest), is_call);
        match address.place {
            Place::Unnamed => Self {
                place: unnamed::read(verb, address.target, content_type, body),
                ..address
            },
            _ => address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::urlrewrite;
    use super::*;

    fn method(verb: &str, target: &str, body: &str) -> Option<(String, bool)> {
        let made = urlrewrite::made(target.as_bytes());
        let form = Some(b"application/x-www-form-urlencoded".as_slice());
        let rest = RestPath::default();
        let (target, body) = (target.as_bytes(), body.as_bytes());
        let address = Address::of_whole(verb.as_bytes(), target, made.as_ref(), form, body, &rest);
        match address.place {
            Place::Call { method, .. } => Some((method.into_owned(), address.is_made)),
            _ => None,
        }
    }

    #[test]
    fn every_way_in_leads_to_its_method() {
        for (verb, target, body) in [
            ("OPTIONS", "/rest/1/S/a.b?scope=C", ""),
            ("GET", "/rest/x/y?method=a.b&auth=T", ""),
            ("GET", "/rest/1/2/3/4/5?method=A.B.json", ""),
            ("GET", "/rest/?method=a.b", ""),
            ("GET", "/rest?method=a.b", ""),
            ("GET", "/rest/index.php?method=a.b", ""),
            ("POST", "/rest/x/y?method=c.d", "method=a.b&aplogin=1&ap=S"),
            ("GET", "/bitrix/services/rest/index.php?method=a.b", ""),
            ("GET", "/bitrix//services/%72est/?method=a.b", ""),
            ("POST", "/bitrix/services/rest/index.php/x", "method=a.b"),
            ("GET", "/rest/api/S/a.b", ""),
            ("GET", "/rest/api/x/a.b/?auth=T", ""),
            ("GET", "/rest/api/1/S/x/y?method=a.b", ""),
            ("GET", "/rest/1/S/a.b%0A", ""),
            ("GET", "/rest/1/S/a.b.json%0A?x", ""),
            ("GET", "/rest/1/S/a.b/index.php%0A", ""),
            ("GET", "/rest/1/S/a.b/%0A", ""),
            ("GET", "/rest/a.b%2f%0a?x=1", ""),
        ] {
            let found = method(verb, target, body);
            assert_eq!(found, Some(("a.b".to_owned(), false)), "{target}");
        }
        for target in [
            "/any/address?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/S/a.b%3Fscope%3DC",
            "/rest/1/S/c.d?SEF_APPLICATION_CUR_PAGE_URL=/rest/x/y%3Fmethod%3Da.b",
            "/x?404;http://h/rest/1/S/a.b?scope=C",
            "/x?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/S/a.b%0A%3Fscope%3DC",
            "/x?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/S/a.b/%0A",
            "/x?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/S/a.b%250A",
        ] {
            let found = method("GET", target, "");
            assert_eq!(found, Some(("a.b".to_owned(), true)), "{target}");
        }
        let kelvin = method("GET", "/rest/tas%E2%84%AA.item.list", "");
        assert_eq!(kelvin, Some(("task.item.list".to_owned(), false)));
    }

    #[test]
    fn of_two_addresses_that_both_concern_us_nobody_knows_which_counts() {
        let rest = RestPath::default();
        let of = |target: &str| {
            let made = urlrewrite::made(target.as_bytes());
            let concerns = |place: &Place<'_>| match place {
                Place::Call { method, .. } => method == "a.b",
                place => *place == Place::Unnamed,
            };
            let place = |target| target::place(target, &rest);
            Address::of(target.as_bytes(), made.as_ref(), place, concerns).is_twofold
        };
        for (target, is_twofold) in [
            (
                "/rest/a.b?SEF_APPLICATION_CUR_PAGE_URL=/rest/x/y%3Fmethod=c.d",
                true,
            ),
            ("/rest/a.b?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/S/a.b", true),
            ("/rest/a.b?SEF_APPLICATION_CUR_PAGE_URL=/rest/c.d", false),
            ("/rest/c.d?SEF_APPLICATION_CUR_PAGE_URL=/rest/a.b", false),
            ("/rest/1/S/a.b/%0A?method=a.b", true),
            ("/rest/1/S/c.d/%0A?method=a.b", false),
            ("/rest/1/S/a.b", false),
        ] {
            assert_eq!(of(target), is_twofold, "{target}");
        }
    }

    #[test]
    fn what_is_near_a_way_in_is_none() {
        for target in [
            "/rest/x/y?Method=a.b",
            "/rest/api/a.b?method=a.b",
            "/rest/api/1/S/a.b",
            "/bitrix/services/rest/other.php?method=a.b",
            "/bitrix/services/rest.php?method=a.b",
            "/bitrix/services?method=a.b",
        ] {
            assert_eq!(method("GET", target, ""), None, "{target}");
        }
        for target in [
            "/rest/1/S/a.b%0D",
            "/rest/1/S/a.b%0A%0A",
            "/rest/c.d?method=a.b",
            "/bitrix/services/rest/?method=c.d&SEF_APPLICATION_CUR_PAGE_URL=/rest/a.b",
        ] {
            assert_ne!(
                method("GET", target, "")
                    .map(|(method, _)| method)
                    .as_deref(),
                Some("a.b"),
                "{target}"
            );
        }
    }
}
