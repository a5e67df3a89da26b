use super::*;
use proptest::prelude::*;
#[test]
fn webhook_codes_are_masked_however_the_address_is_written() {
    for (text, masked) in [
        (
            "https://x.bitrix24.com/rest/1/s3cret/crm.deal.list.json?a=b",
            "https://x.bitrix24.com/rest/1/***/crm.deal.list.json?a=b",
        ),
        ("/rest/admin/s3cret", "/rest/admin/***"),
        (
            "u=https%3A%2F%2Fx%2Frest%2F1%2Fs3cret%2Fa",
            "u=https%3A%2F%2Fx%2Frest%2F1%2F***%2Fa",
        ),
        (
            "%252Frest%252F1%252Fs3cret%252Fa",
            "%252Frest%252F1%252F***%252Fa",
        ),
        ("/rest/api/1/s3cret/main.get", "/rest/api/1/***/main.get"),
        (
            "(/rest/1/s3cret/) /rest/2/s3cret",
            "(/rest/1/***/) /rest/2/***",
        ),
        ("/rest/crm.deal.list?x", "/rest/crm.deal.list?x"),
        ("Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)"),
    ] {
        assert_eq!(mask(text.as_bytes()), masked, "{text}");
    }
}

#[test]
fn values_of_credentials_are_masked() {
    for (text, masked) in [
        ("?a=1&auth=s3cret&b=2", "?a=1&auth=***&b=2"),
        ("AUTH=s3cret", "AUTH=***"),
        ("oauth=no", "oauth=no"),
        (
            "x%26access_token%3Ds3cret%26y",
            "x%26access_token%3D***%26y",
        ),
        (
            "{\"refresh_token\": \"s3cret\", \"a\":1}",
            "{\"refresh_token\": \"***\", \"a\":1}",
        ),
        (
            "Authorization: Bearer s3cret, x",
            "Authorization: Bearer ***, x",
        ),
        ("auth%5Bcode%5D=s3cret", "auth%5Bcode%5D=***"),
        ("auth[access_token]=s3cret", "auth[access_token]=***"),
        ("/rest/1/s3cret/a?auth=s3cret", "/rest/1/***/a?auth=***"),
        ("ap=s3cret;map=no", "ap=***;map=no"),
    ] {
        assert_eq!(mask(text.as_bytes()), masked, "{text}");
    }
    assert_eq!(mask(b"\xFF"), "\u{FFFD}");
}

#[test]
fn no_text_makes_it_slow() {
    for part in [
        "/rest/1",
        "auth=",
        "%2F",
        "auth",
        "rest/",
        "bearer ",
        "&",
        "[a]=",
        "auth:{",
        "a[",
        "token ",
        "rest/./../",
        ":@",
    ] {
        assert!(mask(part.repeat(20_000).as_bytes()).len() <= 40_000 * 8);
    }
}

// Long: one table of spellings.
#[test]
fn no_spelling_that_was_seen_hides_a_secret() {
    for (text, masked) in [
        ("/rest//1/s3cretc0de/m.x", "/rest//1/***/m.x"),
        ("/rest/1//s3cretc0de/m.x", "/rest/1//***/m.x"),
        ("/rest/./1/a/../s3cretc0de/m.x", "/rest/./1/***/../***/m.x"),
        ("rest/1/c0de/m.x", "rest/1/***/m.x"),
        ("u=rest/1/c0de/m.x", "u=rest/1/***/m.x"),
        (
            r#"{"u":"https:\/\/h\/rest\/1\/c0de\/m.x"}"#,
            r#"{"u":"https:\/\/h\/rest\/1\/***\/m.x"}"#,
        ),
        (
            r"\u002frest\u002F1\u002fc0de\u002fm.x",
            r"\u002frest\u002F1\u002f***\u002fm.x",
        ),
        ("/%72es%74/1/c0de/m.x", "/%72es%74/1/***/m.x"),
        ("/rest/%201/c0de/m.x", "/rest/%201/***/m.x"),
        ("/rest/api/s3cretc0de/m.x", "/rest/api/***/***"),
        ("/restapi/1/c0de/", "/restapi/1/***/"),
        ("/rest.php/1/c0de/m.x", "/rest.php/1/***/m.x"),
        (
            "/bitrix/services/rest/1/c0de/m.x",
            "/bitrix/services/rest/1/***/m.x",
        ),
        ("/rest/s3cretc0de/1/m.x", "/rest/***/***/m.x"),
        ("/rest/s3cretc0de/m.x", "/rest/***/***"),
        ("/rest/s3cretc0de", "/rest/***"),
        ("/rest/s3cretc0de.json", "/rest/***"),
        (
            "/rest/1/c0de/crm.documentgenerator.list",
            "/rest/1/***/crm.documentgenerator.list",
        ),
        ("/oauth/s3cretc0de/", "/oauth/***/"),
        ("Bearer: c0de", "Bearer: ***"),
        ("bearer\tc0de", "bearer\t***"),
        ("Basic czNjcmV0Og==", "Basic ***"),
        ("Visual Basic 6.0", "Visual Basic 6.0"),
        ("https://u:c0de@host/", "https://u:***@host/"),
        ("https://s3cretc0de@host/", "https://***@host/"),
        (
            "bot (mailto:me@host.example)",
            "bot (mailto:me@host.example)",
        ),
        ("auth%3dc0de", "auth%3d***"),
        ("auth=%20c0de&a", "auth=%20***&a"),
        ("access%5Ftoken=c0de", "access%5Ftoken=***"),
        ("access.token=c0de", "access.token=***"),
        ("access token=c0de", "access token=***"),
        ("auth[a][b]=c0de", "auth[a][b]=***"),
        ("x[auth]=c0de", "x[auth]=***"),
        (
            "x%5Baccess_token%5D%5B%5D=c0de",
            "x%5Baccess_token%5D%5B%5D=***",
        ),
        (r#"{"auth":{"a":"c0de"},"b":1}"#, r#"{"auth":***,"b":1}"#),
        (r#"{"auth":["c0de","d"],"b":1}"#, r#"{"auth":***,"b":1}"#),
        ("auth => c0de", "auth => ***"),
        ("my_token=s3cretc0de", "my_token=***"),
        ("token s3cretc0de", "token ***"),
        ("oauth=no", "oauth=no"),
        (
            "the token: permission denied",
            "the token: permission denied",
        ),
        ("author=administrator", "author=administrator"),
    ] {
        assert_eq!(mask(text.as_bytes()), masked, "{text}");
        assert_eq!(mask(masked.as_bytes()), masked, "again");
    }
    for (code, masked) in [
        ("QUERY_LIMIT_EXCEEDED", "QUERY_LIMIT_EXCEEDED"),
        ("ACCESSDENIED", "ACCESSDENIED"),
        ("ERROR_100_bad", "ERROR_100_bad"),
        ("s3cretc0de01", "***"),
        (
            "WRONG_TOKEN_s3cretc0de01, s3cretc0de02",
            "WRONG_TOKEN_***, ***",
        ),
        ("auth=s3cretc0de01", "auth=***"),
    ] {
        assert_eq!(mask_code(code), masked);
    }
    assert_eq!(mask_user("s3cretc0de", "s3cretc0de"), "***");
    assert_eq!(mask_user("some.login", "s3cretc0de"), "some.login");
    assert_eq!(mask_user("1", "s3cretc0de"), "1");
}

#[test]
fn ordinary_texts_stay_as_they_are() {
    for text in [
        "curl/8.5.0",
        "b24-php-sdk-vendor-v-1.9.0-php-8.3.1",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "unirest-java/3.11.09",
        "rest-client/2.1.0 (linux x86_64) ruby/3.0.2p107",
        "Bitrix24 CRest PHP 1.36",
        "python-requests/2.31.0",
        "9c1f4e12-7b1a-4b1e-9b0a-000000000000",
        "NO_AUTH_FOUND",
        "expired_token",
        "/rest/crm.deal.list.json",
        "/rest/profile",
        "/rest/batch/index.php",
        "cannot read the admin token: configuration is missing",
    ] {
        assert_eq!(mask(text.as_bytes()), text);
    }
}

/// Escapes of some bytes of a text, each level as a writer of that kind makes them.
fn written(text: &str, kind: u8, choice: u64) -> String {
    let mut out = String::new();
    for (at, byte) in text.bytes().enumerate() {
        let chosen = choice >> (at % 61) & 1 == 1;
        match kind {
            // What marks an escape is one itself.
            1 | 2 if byte == b'%' => out.push_str("%25"),
            3 | 4 if byte == b'\\' => out.push_str("\\\\"),
            1 if chosen => out.push_str(&format!("%{byte:02x}")),
            2 if chosen => out.push_str(&format!("%{byte:02X}")),
            3 if chosen => out.push_str(&format!("\\u{byte:04x}")),
            4 if byte == b'/' => out.push_str("\\/"),
            5 => out.push_str(&format!("%{byte:02x}")),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// What any reader could undo: all escapes, to the bottom.
fn undone(text: &str) -> String {
    let mut decoded = Decoded::of(text.as_bytes());
    while decoded.decode() {}
    String::from_utf8_lossy(&decoded.bytes).to_lowercase()
}

proptest! {
    #[test]
    fn no_spelling_hides_a_secret(
        secret in "[a-zA-Z0-9]{16}",
        before in prop::sample::select(vec!["", " ", "(", "x ", "https://h/", "https://h:8080/a/", "?u=", "a;b,", "{\"u\":\""]),
        (form, case) in (0..22usize, any::<bool>()),
        user in prop::sample::select(vec!["1", "admin", "some.login", "007"]),
        slash in prop::sample::select(vec!["/", "//", "/./", "///", "/x/../", "/./../x/../rest/"]),
        kinds in prop::collection::vec((0u8..6, any::<u64>()), 0..3),
        after in prop::sample::select(vec!["", "/", "/crm.deal.list", "/profile.json?a=b", " x", "\"}", "&b=2"]),
    ) {
        let s = &secret;
        let plain = match form {
            0 | 1 => format!("/rest{slash}{user}/{s}"),
            2 => format!("/rest/{user}{slash}{s}"),
            3 => format!("rest/{user}/{s}"),
            4 => format!("/rest/api/{user}/{s}"),
            5 => format!("/rest{slash}api/{s}/m.x"),
            6 => format!("/restapi/{user}/{s}"),
            7 => format!("/rest.php{slash}{user}/{s}"),
            8 => format!("/rest/{s}/{user}"),
            9 => format!("/rest/{s}"),
            10 => format!("auth={s}"),
            11 => format!("a=1&access_token={s}"),
            12 => format!("auth[a][b]={s}"),
            13 => format!("x[auth]={s}"),
            14 => format!("auth= {s}"),
            15 => format!("\"refresh_token\": \"{s}\""),
            16 => format!(" Bearer {s}"),
            17 => format!(" Bearer:\t{s}"),
            18 => format!(" Basic {s}"),
            19 => format!("//u:{s}@h/"),
            20 => format!("/oauth/{s}"),
            _ => format!("&my_token={s}"),
        };
        let plain = if case && !plain.contains("..") {
            plain.replace("rest", "REST").replace("auth", "Auth").replace("earer", "EARER")
        } else {
            plain
        };
        let mut text = format!("{plain}{after}");
        for (kind, choice) in kinds {
            text = written(&text, kind, choice);
        }
        let text = format!("{before}{text}");
        let masked = mask(text.as_bytes());
        prop_assert!(!undone(&masked).contains(&secret.to_lowercase()), "{} became {}", text, masked);
    }

    #[test]
    fn any_text_is_masked_without_a_panic_and_once(text in any::<String>(), spice in "[/%=:&\\[\\]{}@ restauh25fF.\\\\u0]{0,60}") {
        for text in [&text, &spice] {
            let once = mask(text.as_bytes());
            if is_plain(text.as_bytes()) {
                prop_assert_eq!(&once, text);
            }
        }
    }
}
